import net, { type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalListener, TcpAddress, UnixAddress } from '../../lib/listen/index.js';
import type { Lab } from '../support/dialer.js';

/** A listener that is destroyed at the end of the test, which then waits until nothing of it is left. */
export async function use<Address extends TcpAddress | UnixAddress>(
  lab: Lab,
  opening: Promise<LocalListener<Address>>,
): Promise<LocalListener<Address>> {
  const listener = await opening;
  lab.onEnd(() => {
    listener.destroy();
    return listener.close();
  });
  return listener;
}

/** A client of a listener. It stays open for writing when the other side has ended. */
export function connect(lab: Lab, { address }: LocalListener): Socket {
  const socket = net.connect({ ...address, allowHalfOpen: true });
  socket.on('error', () => undefined);
  lab.onEnd(() => socket.destroy());
  return socket;
}

/** How the other side's sending ends for a client that reads: `end`, or the code of an error. */
export function fate(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve('end'));
    socket.once('close', () => resolve('close'));
    socket.resume();
  });
}

/** An empty folder that is removed at the end of the test. */
export function folder(lab: Lab): string {
  const path = mkdtempSync(join(tmpdir(), 'tunnel-listen-'));
  lab.onEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
