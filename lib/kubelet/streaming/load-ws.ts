import { createRequire } from 'node:module';
import type WebSocket from 'ws';
import { StreamingError } from './errors.js';

/**
 * The package `ws`, an optional peer: logs and the like are to be had without it.
 *
 * @internal
 * @throws {@link StreamingError} `ERR_KUBELET_NO_WS` when it is not installed
 */
export function loadWs(
  require: (name: string) => unknown = createRequire(import.meta.url),
): typeof WebSocket {
  try {
    return require('ws') as typeof WebSocket;
  } catch (cause) {
    // A package of another name may be what is missing in it.
    const isMissing = (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    if (!isMissing || !(cause as Error).message.includes("'ws'")) throw cause;
    const problem =
      'exec, attach and port-forward need the package ws, which is not installed: npm install ws';
    throw new StreamingError('ERR_KUBELET_NO_WS', problem, { cause });
  }
}
