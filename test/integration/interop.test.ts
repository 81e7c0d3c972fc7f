import { expect } from 'chai';
import { once } from 'node:events';
import {
  AuthenticationError,
  ChannelRefusedError,
  EndpointError,
  HostKeyError,
  knownHosts,
  TransportError,
  type TunnelDialer,
} from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { readAll, rejection, roundTrip } from '../support/dialer.js';
import { dropbear, startDropbear } from '../support/dropbear.js';
import { refusedEndpoint, startAnswerAfterEnd, startEcho, type Endpoint } from '../support/endpoints.js';
import type { OtherServer } from '../support/other-server.js';
import { waitUntil } from '../support/processes.js';
import { generateKeyPair, knownHostsText } from '../support/ssh-keys.js';
import { startTinysshd, tinysshd } from '../support/tinysshd.js';
import { exchange, expectedExchange } from './exchange.js';
import { nodeStatus, Stage } from './stage.js';

const MIB = 1024 * 1024;

describeFor(dropbear, 'dropbear', () => {
  const shared = new Stage();
  const stage = new Stage();
  let server: OtherServer;
  let echo: Endpoint;
  let dialer: TunnelDialer;

  before(async () => {
    server = await shared.use(startDropbear());
    echo = await shared.use(startEcho(server));
  });
  after(() => shared.end());
  beforeEach(() => {
    dialer = stage.dialer(server);
  });
  afterEach(() => stage.end());

  it('carries big transfers both ways at once, and many streams together', async () => {
    for (const shape of [
      { streams: 1, bytes: 8 * MIB },
      { streams: 50, bytes: MIB / 4 },
    ]) {
      expect(await exchange(dialer, server, shape)).to.deep.equal(expectedExchange(shape));
    }
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it('half-closes', async () => {
    const endpoint = await stage.use(startAnswerAfterEnd('the answer', server));
    const socket = await stage.dial(dialer, endpoint);
    socket.end('a question');
    expect((await readAll(socket)).toString()).to.equal('the answer');
  });

  it('opens and closes many streams one after another on one connection', async () => {
    for (let count = 0; count < 300; count++) {
      const socket = await dialer.dial(echo.host, echo.port);
      await roundTrip(socket);
      socket.destroy();
    }
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it('answers keepalives', async () => {
    const lively = stage.dialer(server, { health: { keepaliveIntervalMs: 50, keepaliveCountMax: 10 } });
    const socket = await stage.dialEcho(lively, echo);
    const seen = new Set<number | undefined>();
    await waitUntil('answers to some keepalives', () => seen.add(nodeStatus(lively).roundTripMs).size >= 5);
    await roundTrip(socket);
    expect(nodeStatus(lively).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it("has an endpoint's refusal told as such, and the connection lives on", async () => {
    await stage.dialEcho(dialer, echo);
    const refused = await refusedEndpoint(server);
    const error = await rejection(dialer.dial(refused.host, refused.port));
    expect(error).to.be.an.instanceOf(EndpointError).and.include({ code: 'ECONNREFUSED' });
    await stage.dialEcho(dialer, echo);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it('refuses a wrong key with an AuthenticationError', async () => {
    const stranger = stage.dialer(server, { ssh: { privateKey: generateKeyPair().privateKey } });
    const error = await rejection(stranger.dial(echo.host, echo.port));
    expect(error).to.be.an.instanceOf(AuthenticationError);
  });

  it('with another host key than the one on record is a HostKeyError', async () => {
    const text = knownHostsText(server.address, server.port, [generateKeyPair().publicKey]);
    const wary = stage.dialer(server, { ssh: { hostKeys: knownHosts(text) } });
    const error = await rejection(wary.dial(echo.host, echo.port));
    expect(error).to.be.an.instanceOf(HostKeyError).and.include({ reason: 'mismatch' });
  });

  it('that ends errors the streams, and none of them ends as if it were complete', async () => {
    const mortal = await stage.use(startDropbear());
    const socket = await stage.dialEcho(stage.dialer(mortal), echo);
    let ended = false;
    socket.once('end', () => (ended = true));
    const failed = once(socket.resume(), 'error');
    await mortal.close();
    const [error] = (await failed) as [unknown];
    expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
    expect(ended).to.equal(false);
  });
});

describeFor(tinysshd, 'tinysshd', () => {
  const stage = new Stage();
  let server: OtherServer;

  beforeEach(async () => {
    server = await stage.use(startTinysshd());
  });
  afterEach(() => stage.end());

  it('takes our login, and a dial through it says that it forwards nothing', async () => {
    const dialer = stage.dialer(server);
    await dialer.ready();
    const error = await rejection(dialer.dial('127.0.0.1', 9, { timeoutMs: 5000 }));
    expect(error).to.be.an.instanceOf(ChannelRefusedError).and.include({ code: 'ERR_TUNNEL_PROHIBITED' });
  });

  it('refuses a wrong key with an AuthenticationError', async () => {
    const stranger = stage.dialer(server, { ssh: { privateKey: generateKeyPair().privateKey } });
    const error = await rejection(stranger.dial('127.0.0.1', 9));
    expect(error).to.be.an.instanceOf(AuthenticationError);
  });

  it('with another host key than the one on record is a HostKeyError', async () => {
    const text = knownHostsText(server.address, server.port, [generateKeyPair().publicKey]);
    const wary = stage.dialer(server, { ssh: { hostKeys: knownHosts(text) } });
    const error = await rejection(wary.dial('127.0.0.1', 9));
    expect(error).to.be.an.instanceOf(HostKeyError).and.include({ reason: 'mismatch' });
  });
});
