import { createHook } from 'node:async_hooks';
import { Socket } from 'node:net';
import type { Tally } from './messages.js';

/** The methods of Node's TCP handles that write; each is one system call, unless the kernel takes nothing more. */
const WRITES = [
  'writeBuffer',
  'writev',
  'writeLatin1String',
  'writeUtf8String',
  'writeAsciiString',
  'writeUcs2String',
];

type Write = (request: { bytes?: number }, ...rest: unknown[]) => number;

/** Counts from now on what this process does. It makes everything slower, and the heap larger. */
export function startTally(): () => Tally {
  let writes = 0;
  let timers = 0;
  let promises = 0;
  const alive = new Set<number>();

  createHook({
    init: (id, type) => {
      if (type === 'PROMISE') promises += 1;
      if (type !== 'Timeout') return;
      timers += 1;
      alive.add(id);
    },
    destroy: (id) => void alive.delete(id),
  }).enable();

  const sockets = new Set<Socket>();
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the socket as `this`
  const connect = Socket.prototype.connect;
  Socket.prototype.connect = function (this: Socket, ...args: Parameters<typeof connect>) {
    sockets.add(this);
    const result = connect.apply(this, args);
    const handle = (this as unknown as { _handle: Record<string, Write> })._handle;
    for (const name of WRITES) {
      const write = handle[name];
      if (write === undefined) continue;
      handle[name] = (...call) => {
        writes += 1;
        return write.apply(handle, call);
      };
    }
    return result;
  } as typeof connect;

  return () => {
    const bytesWritten = [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0);
    return { writes, bytesWritten, timers, timersAlive: alive.size, promises };
  };
}
