import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { onExit } from './reaper.js';

/**
 * Connections that fill the queue and more: with a backlog of 1, Linux lets two wait to be accepted, BSD and
 * macOS one or two.
 */
const FILLERS = 8;

/** Listens, says where, and never gives its event loop a turn to accept anything. */
const LISTENER = `
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    require('node:fs').writeSync(1, server.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/**
 * An address on loopback where a connection is neither accepted nor refused, as behind a firewall that drops
 * packets.
 */
export interface BlackHole extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts a black hole: a process that listens with the shortest queue there is and accepts nothing, and
 * connections that fill the queue. The kernel drops every further SYN. Needs no rights.
 */
export async function startBlackHole(): Promise<BlackHole> {
  const listener = spawn(process.execPath, ['-e', LISTENER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const forget = onExit(() => listener.kill('SIGKILL'));
  const [line] = (await once(listener.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());

  const fillers: Socket[] = [];
  for (let count = 0; count < FILLERS; count++) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    fillers.push(filler);
  }
  // All eight went out in one turn of the event loop: when one has its place in the queue, all have been
  // taken or dropped.
  await once(fillers[0]!, 'connect');

  async function close(): Promise<void> {
    if (listener.exitCode !== null || listener.signalCode !== null) return;
    const exited = once(listener, 'close');
    for (const filler of fillers) filler.destroy();
    listener.kill('SIGKILL');
    await exited;
    forget();
  }

  return { host: '127.0.0.1', port, close, [Symbol.asyncDispose]: close };
}
