import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { TransportError, type TunnelSocket } from '../../lib/index.js';
import type { KubeletAccess } from '../../lib/kubelet/kubelet-access.js';
import { openExec } from '../../lib/kubelet/streaming/exec.js';
import { openPortForward } from '../../lib/kubelet/streaming/port-forward.js';
import { startKubelet, type Kubelet } from '../../lib/testing/index.js';
import { accessTo, APP } from '../kubelet/streaming/real-kubelet.js';
import { read, rejection, roundTrip, until } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { Stage } from './stage.js';

const BLOCK = Buffer.alloc(64 * 1024, 'exec');
const BLOCKS = 256;

describe('streams of a kubelet behind a real sshd', function () {
  this.timeout(120_000);
  const stage = new Stage();
  afterEach(() => stage.end());

  async function startNode(): Promise<{
    access: KubeletAccess;
    kubelet: Kubelet;
    /** An echo over the same connection. */
    sibling: TunnelSocket;
    cut: () => void;
  }> {
    const sshd = await stage.sshd();
    const { proxy, access: way } = await stage.proxied(sshd);
    const { listenHost, endpointHost } = sshd;
    const kubelet = await stage.use(startKubelet({ host: listenHost, altNames: [endpointHost] }));
    const dialer = stage.dialer(way, { pool: { maxConnections: 1 } });
    const sibling = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
    const access = accessTo(kubelet, dialer, endpointHost);
    stage.onEnd(() => access.agent.destroy());
    return { access, kubelet, sibling, cut: () => proxy.cut('rst') };
  }

  it('16 MiB go through cat unchanged and whole before its exit', async () => {
    const { access } = await startNode();
    const cat = await openExec(access, { ...APP, command: ['cat'], stdin: true });
    const got = createHash('sha256');
    const reading = pipeline(cat.stdout, got);
    await pipeline(Readable.from(Array.from({ length: BLOCKS }, () => BLOCK)), cat.stdin);
    expect(await cat.exit).to.deep.equal({ code: 0 });
    await reading;
    const sent = createHash('sha256');
    for (let block = 0; block < BLOCKS; block += 1) sent.update(BLOCK);
    expect(got.digest('hex')).to.equal(sent.digest('hex'));
  });

  it('a lost tunnel fails the streams and the exit, and ends the command', async () => {
    const { access, kubelet, cut } = await startNode();
    const process = await openExec(access, { ...APP, command: ['sh', '-c', 'echo begun; sleep 1000'] });
    expect((await read(process.stdout, 6)).toString()).to.equal('begun\n');
    const failed = rejection(text(process.stdout));
    cut();
    const error = await failed;
    expect(error).to.be.instanceOf(TransportError).with.property('code', 'ECONNRESET');
    expect(await rejection(process.exit)).to.equal(error);
    await until('the end of the command', () => kubelet.open.execs === 0);
  });

  it('a command that does not read what it is sent ends when its user has gone', async () => {
    const { access, kubelet, sibling } = await startNode();
    const process = await openExec(access, { ...APP, command: ['sleep', '1000'], stdin: true });
    let sent = 0;
    const sending = pipeline(function* () {
      for (; ; sent += 1) yield BLOCK;
    }, process.stdin).catch(() => undefined);
    // What it could still be sent would be on its way within so many round trips over the same connection.
    for (let quiet = 0, before = -1; quiet < 100; quiet += 1) {
      await roundTrip(sibling);
      if (sent !== before) quiet = 0;
      before = sent;
    }
    process.destroy();
    await sending;
    await until('the end of the command', () => kubelet.open.execs === 0);
  });

  it('a forwarded port carries bytes both ways, and is closed on the node', async () => {
    const { access, kubelet } = await startNode();
    const echo = await stage.use(startEcho());
    const { namespace, pod } = APP;
    const socket = await openPortForward(access, { namespace, pod, port: echo.port });
    socket.write(BLOCK);
    expect((await read(socket, BLOCK.length)).equals(BLOCK)).to.equal(true);
    socket.destroy();
    await until('no connection', () => kubelet.open.portForwards === 0 && echo.sockets.size === 0);
  });
});
