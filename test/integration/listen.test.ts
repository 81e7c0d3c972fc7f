import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { SocksClient } from 'socks';
import type { TunnelDialer } from '../../lib/index.js';
import { httpConnect, listen, socks5, type LocalListener } from '../../lib/listen/index.js';
import { connect, fate, folder, use } from '../listen/clients.js';
import { describeFor } from '../support/applicability.js';
import { Lab, readAll, rejection, roundTrip, until } from '../support/dialer.js';
import { refusedEndpoint, startEcho, startSink, startSource } from '../support/endpoints.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import type { Sshd } from '../support/sshd.js';
import { chunksOf, take } from './exchange.js';
import { Stage, type HostAndPort } from './stage.js';

const BYTES = 64 * 1024 * 1024;

describe('local listeners over a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  const lab = new Lab();
  let sshd: Sshd;
  let dialer: TunnelDialer;

  before(async () => {
    sshd = await shared.sshd();
  });
  after(() => shared.end());
  beforeEach(() => {
    dialer = stage.dialer(sshd);
  });
  afterEach(async () => {
    await lab.end();
    await stage.end();
  });

  type Opened = Promise<LocalListener>;
  const places: Record<string, (endpoint: HostAndPort) => Opened> = {
    TCP: ({ host, port }) => listen(dialer, { host, port }),
    'a UNIX socket': ({ host, port }) =>
      listen(dialer, { host, port, at: { path: join(folder(lab), 'socket') } }),
  };
  for (const [transport, open] of Object.entries(places)) {
    it(`carries 64 MiB each way by ${transport}, to the last byte`, async () => {
      const source = await stage.use(startSource(BYTES, { place: sshd }));
      const down = connect(lab, await use(lab, open(source)));
      expect(await take(chunksOf(down))).to.equal(`${BYTES} bytes ${patternSha256(BYTES)}`);
      const sink = await stage.use(startSink(sshd));
      const up = connect(lab, await use(lab, open(sink)));
      patternStream(BYTES).pipe(up);
      expect((await readAll(up)).toString()).to.equal(patternSha256(BYTES));
    });
  }

  it('tells clients of the proxies that an endpoint refuses, each in its own way', async () => {
    const { host, port } = await refusedEndpoint(sshd);
    const { address } = await use(lab, socks5(dialer));
    const proxy = { host: address.host, port: address.port, type: 5 as const };
    const refused = await rejection(
      SocksClient.createConnection({ command: 'connect', proxy, destination: { host, port } }),
    );
    expect(refused.message).to.include('ConnectionRefused');
    const client = connect(lab, await use(lab, httpConnect(dialer)));
    client.write(`CONNECT ${host}:${port} HTTP/1.1\r\n\r\n`);
    expect((await readAll(client)).toString()).to.match(/^HTTP\/1\.1 502 .*refused/i);
  });

  it("closes the endpoint's connection when its client has been reset", async () => {
    const echo = await stage.use(startEcho(sshd));
    const accepted = echo.nextConnection();
    const listener = await use(lab, listen(dialer, { host: echo.host, port: echo.port }));
    const client = connect(lab, listener);
    await roundTrip(client);
    const peer = await accepted;
    client.resetAndDestroy();
    await until('no connection', () => listener.connections === 0);
    if (!peer.closed) await once(peer, 'close');
  });

  describeFor('processes', 'whose connection is killed', () => {
    it('reset every client in the midst of its stream, and serve the next', async () => {
      const echo = await stage.use(startEcho(sshd));
      const listener = await use(lab, listen(dialer, { host: echo.host, port: echo.port }));
      const clients: Socket[] = Array.from({ length: 20 }, () => connect(lab, listener));
      await Promise.all(clients.map((client) => roundTrip(client)));
      const fates = clients.map(fate);
      await sshd.killConnections();
      expect(new Set(await Promise.all(fates))).to.deep.equal(new Set(['ECONNRESET']));
      await roundTrip(connect(lab, listener));
    });
  });
});
