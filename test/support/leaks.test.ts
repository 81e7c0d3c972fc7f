import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { startEcho } from './endpoints.js';
import { expectNoLeaks, HandleTracker } from './leaks.js';

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was found';
}

describe('the handle tracker', () => {
  it('finds a timer, even an unref’d one, and where it was made', async () => {
    const timers: NodeJS.Timeout[] = [];
    using tracker = new HandleTracker();
    timers.push(setTimeout(() => undefined, 60_000).unref());
    expect(await messageOf(tracker.allClosed(20))).to.match(/^1 still open:\nTimeout\n.*leaks\.test\.ts/);
    clearTimeout(timers[0]);
    await tracker.allClosed();
  });

  it('finds sockets until they are closed', async () => {
    await using echo = await startEcho();
    using tracker = new HandleTracker();
    const accepted = echo.nextConnection();
    const socket = connect(echo.port, echo.host);
    await once(socket, 'connect');
    const server = await accepted;
    expect(await messageOf(tracker.allClosed(20))).to.match(/^2 still open:/);
    expect(tracker.counts()).to.deep.equal({ TCPWRAP: 2 });
    socket.destroy();
    server.destroy();
    await tracker.allClosed();
  });

  it('finds child processes', async () => {
    using tracker = new HandleTracker();
    const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    expect(tracker.counts()).to.have.property('PROCESSWRAP', 1);
    child.kill('SIGKILL');
    await tracker.allClosed();
  });

  it('finds nothing where nothing is left', () =>
    expectNoLeaks(async () => {
      const echo = await startEcho();
      await echo.close();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }));
});
