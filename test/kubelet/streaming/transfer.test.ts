import { expect } from 'chai';
import { createHash, type Hash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { openExec } from '../../../lib/kubelet/streaming/exec.js';
import { openPortForward } from '../../../lib/kubelet/streaming/port-forward.js';
import { read, until } from '../../support/dialer.js';
import { HandleTracker } from '../../support/leaks.js';
import { APP, startRig, type Rig } from './real-kubelet.js';

const MIB = 1024 * 1024;
const MANY = 1000;
const AT_ONCE = 10;
/** 64 MiB twenty times take minutes: only when `TUNNEL_TEST_FULL_TRANSFERS=1` asks for them. */
const FULL = process.env.TUNNEL_TEST_FULL_TRANSFERS === '1';

describe('kubelet: streams that are big, or many', function () {
  this.timeout(600_000);
  let rig: Rig;
  beforeEach(async () => (rig = await startRig()));
  afterEach(() => rig.stage.end());

  for (const [runs, bytes] of [
    [FULL ? 20 : 1, 64 * MIB],
    [20, 4 * MIB],
  ] as const) {
    it(`${bytes / MIB} MiB go through cat unchanged and whole before its exit, ${runs} times`, async () => {
      for (let run = 1; run <= runs; run += 1) {
        const [sent, got] = [createHash('sha256'), createHash('sha256')];
        const cat = await openExec(rig.access, { ...APP, command: ['cat'], stdin: true });
        const reading = pipeline(cat.stdout, async (chunks: AsyncIterable<Buffer>) => {
          for await (const chunk of chunks) got.update(chunk);
        });
        await pipeline(Readable.from(blocks(bytes, sent)), cat.stdin);
        expect(await cat.exit).to.deep.equal({ code: 0 });
        await reading;
        expect(got.digest('hex'), `run ${run}`).to.equal(sent.digest('hex'));
      }
    });
  }

  it('the last bytes of a command come before its exit code, read late or not', async () => {
    const command = ['sh', '-c', 'head -c 3000000 /dev/zero; printf last; exit 7'];
    for (let run = 0; run < 20; run += 1) {
      const process = await openExec(rig.access, { ...APP, command });
      const printed = text(process.stdout);
      expect((await process.exit).code).to.equal(7);
      expect((await printed).slice(3_000_000)).to.equal('last');
    }
  });

  /** Does it often, and looks whether all that was open is closed. */
  async function leavesNothing(once: () => Promise<void>, isIdle: () => boolean): Promise<void> {
    await once();
    await until('nothing open', isIdle);
    // What the dialer itself keeps is made anew from time to time.
    using tracker = new HandleTracker();
    for (let done = 0; done < MANY; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, once));
    await until('no channel', () => rig.stage.ssh.channels === 0 && isIdle());
    // Closing takes some turns.
    await until('no handle', () => {
      const { TCPWRAP = 0, PIPEWRAP = 0, PROCESSWRAP = 0, Timeout = 0 } = tracker.counts();
      return TCPWRAP + PIPEWRAP + PROCESSWRAP === 0 && Timeout < AT_ONCE;
    });
    expect(rig.access.agent.sockets).to.be.empty;
  }

  it(`${MANY} execs leave no channel, socket, process, listener or timer`, async () => {
    const { signal } = new AbortController();
    await leavesNothing(
      async () => {
        const process = await openExec(rig.access, { ...APP, command: ['echo', 'hello'], signal });
        const printed = await Promise.all([text(process.stdout), text(process.stderr), process.exit]);
        expect(printed).to.deep.equal(['hello\n', '', { code: 0 }]);
      },
      () => rig.kubelet.open.execs === 0,
    );
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it(`${MANY} connections of port-forward leave no channel, socket, listener or timer`, async () => {
    const { signal } = new AbortController();
    const echo = await rig.stage.endpoint((socket) => {
      socket.on('data', (data: Buffer) => (data.includes('bye') ? socket.end() : socket.write(data)));
      socket.on('end', () => socket.end());
    });
    let count = 0;
    await leavesNothing(
      async () => {
        count += 1;
        const { namespace, pod } = APP;
        const socket = await openPortForward(rig.access, { namespace, pod, port: echo.port, signal });
        socket.write('hello');
        expect((await read(socket, 5)).toString()).to.equal('hello');
        // From either side.
        if (count % 2 === 0) socket.destroy();
        else socket.write('bye');
        await until('the end', () => socket.resume().closed);
      },
      () => rig.kubelet.open.portForwards === 0 && echo.sockets.size === 0,
    );
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it('an exec whose client has gone ends its command and leaves no channel', async () => {
    const process = await openExec(rig.access, { ...APP, command: ['sleep', '1000'] });
    await until('the command', () => rig.kubelet.open.execs === 1);
    process.destroy();
    await until('its end', () => rig.kubelet.open.execs === 0 && rig.stage.ssh.channels === 0);
  });
});

/** So many bytes that no block is like another, and their hash. */
function* blocks(bytes: number, hash: Hash): Generator<Buffer> {
  let next = 1;
  for (let sent = 0; sent < bytes; sent += 50_000) {
    const block = Buffer.alloc(Math.min(50_000, bytes - sent));
    for (let at = 0; at + 4 <= block.length; at += 4) {
      next = (Math.imul(next, 1664525) + 1013904223) >>> 0;
      block.writeUInt32LE(next, at);
    }
    hash.update(block);
    yield block;
  }
}
