import { expect } from 'chai';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { LogCutError, type KubeletClient } from '../../lib/kubelet/index.js';
import { createAuthority } from '../../lib/testing/index.js';
import { rejection, unhandledDuring, until } from '../support/dialer.js';
import { KubeletStage } from './stage.js';

const container = { namespace: 'default', pod: 'web', container: 'app' };
const OK = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n';
const authority = createAuthority('kubelet-ca');
const own = authority.issue({ commonName: 'node-1', altNames: ['127.0.0.1'] });

describe('kubelet: one that means harm', () => {
  let stage: KubeletStage;
  beforeEach(async () => (stage = await KubeletStage.start()));
  afterEach(() => stage.end());

  /** A client of a kubelet that answers each request's head with bytes of its own. */
  async function clientOf(answer: (socket: TLSSocket, head: string) => void): Promise<KubeletClient> {
    const server = createServer({ cert: own.certificate, key: own.privateKey }, (socket) => {
      stage.onEnd(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.once('data', (head: Buffer) => answer(socket, head.toString()));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const node = { name: stage.ssh.spec.name, address: '127.0.0.1', port };
    return stage.client({ node, certificateAuthority: authority.certificate, timeoutMs: 5000 });
  }

  it('and switches protocols unasked fails the call at once', async () => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nrubbish';
    const client = await clientOf((socket) => socket.write(upgrade));
    expect(await rejection(client.healthz())).to.include({ code: 'ERR_KUBELET_ANSWER' });
    expect(await rejection(client.logs(container))).to.include({ code: 'ERR_KUBELET_ANSWER' });
    await until('no channel', () => stage.ssh.channels === 0);
  });

  for (const [what, date, sinceSeconds] of [
    ['whose clock shows no date that can be reckoned with', '-271821-04-20T00:00:00Z', 5],
    ['and a caller who wants a log from before all time', 'Thu, 01 Jan 2026 00:00:00 GMT', 1e13],
  ] as const) {
    it(`${what} is asked again from 1970 on`, async () => {
      const heads: string[] = [];
      const client = await clientOf((socket, head) => {
        heads.push(head);
        socket.end(`${OK}Date: ${date}\r\n\r\n`);
      });
      const unhandled = await unhandledDuring(async () => {
        const follow = { resume: true, retryMinMs: 1, retryMaxMs: 5 };
        const log = await client.logs({ ...container, sinceSeconds, follow });
        await until('a second request', () => heads.length > 1);
        log.destroy();
      });
      expect(unhandled).to.deep.equal([]);
      expect(heads[1]).to.include('sinceTime=1970-01-01T00%3A00%3A00.000Z');
    });
  }

  it('and tells of a time that is none has the log cut as any other', async () => {
    const line = '9999-99-99T99:99:99Z b\n';
    const text = `2026-01-01T00:00:00Z a\n${line}`;
    const client = await clientOf((socket) =>
      socket.end(`${OK}\r\n${text.length.toString(16)}\r\n${text}\r\n`),
    );
    const log = await client.logs({ ...container, follow: true, tailLines: 10 });
    log.resume();
    const [error] = (await once(log, 'error')) as [LogCutError];
    expect(error).to.be.instanceOf(LogCutError).and.include({ lastTime: '2026-01-01T00:00:00Z' });
  });
});
