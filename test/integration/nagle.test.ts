import { expect } from 'chai';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TunnelSocket } from '../../lib/index.js';
import { read, turns } from '../support/dialer.js';
import { startEndpoint } from '../support/endpoints.js';
import type { FaultProxy } from '../support/fault-proxy.js';
import type { Sshd, SshAccess } from '../support/sshd.js';
import { Stage } from './stage.js';

/** How a server introduces itself, such as `SSH-2.0-OpenSSH_9.2p1 Debian-2`. */
async function identificationOf({ address, port }: SshAccess): Promise<string> {
  const socket = connect(port, address);
  const [line] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return line.toString('latin1').split('\r\n', 1)[0] ?? '';
}

/** Whether a server leaves Nagle's algorithm on where it only forwards: OpenSSH before 10.1 does. */
function delaysSmallAnswers(identification: string): boolean {
  const [, major, minor] = /OpenSSH_(\d+)\.(\d+)/.exec(identification) ?? [];
  return major !== undefined && Number(major) * 100 + Number(minor) < 1001;
}

/*
 * A second small answer leaves such an sshd only when the first has been acknowledged, and the kernel delays an acknowledgement by 40 ms
 * unless there is something to send with it. So the dialer has to send something after each answer that its user does not answer.
 * A proxy counts that; no clock is looked at.
 */
describe('small answers from a real sshd', () => {
  const stage = new Stage();
  let sshd: Sshd;
  let proxy: FaultProxy;
  let nudges: boolean;
  let socket: TunnelSocket;
  let peer: Socket;

  beforeEach(async () => {
    sshd = await stage.sshd();
    nudges = delaysSmallAnswers(await identificationOf(sshd));
    const proxied = await stage.proxied(sshd);
    ({ proxy } = proxied);
    const dialer = stage.dialer(proxied.access, { health: { keepaliveIntervalMs: 600_000 } });
    const endpoint = await stage.use(startEndpoint((accepted) => void accepted.resume(), sshd));
    const accepted = endpoint.nextConnection();
    socket = await stage.dial(dialer, endpoint);
    peer = await accepted;
    await silence();
  });
  afterEach(() => stage.end());

  /** Waits until nothing more passes on to sshd. The proxy is in this process: what was sent passes in a few turns. */
  async function silence(): Promise<void> {
    for (let before = -1; before !== proxy.up.bytes;) {
      before = proxy.up.bytes;
      await turns(100);
    }
  }

  it('are acknowledged at once, by a message of our own where the user has nothing to send', async () => {
    for (let round = 0; round < 20; round++) {
      const before = proxy.up.bytes;
      peer.write('.');
      await read(socket, 1);
      await silence();
      expect(proxy.up.bytes > before).to.equal(nudges);
    }
  });

  it('that the user answers in the same turn are acknowledged by that answer alone', async () => {
    const before = proxy.up.bytes;
    socket.write('!');
    await once(peer, 'data');
    const answerBytes = proxy.up.bytes - before;
    socket.on('data', () => socket.write('!')).resume();
    for (let round = 0; round < 20; round++) {
      peer.write('.');
      await once(peer, 'data');
    }
    await silence();
    expect(proxy.up.bytes - before).to.equal(21 * answerBytes);
  });
});
