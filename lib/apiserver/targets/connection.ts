import type { Agent } from 'node:http';
import type { AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { listenForAbort } from '../../abortable-signal.js';
import { serverNameOf } from '../../http/tls-handshake.js';

/** Where a connection goes. */
export interface ConnectionEndpoint {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
}

/**
 * Makes a connection as the agent makes its own, of which the agent knows nothing: verified like them, never kept, never timed out.
 *
 * @throws an error of the dial or of TLS; the reason of the signal, by which nothing is left behind
 */
export function openConnection(
  agent: Agent,
  { scheme, host, port }: ConnectionEndpoint,
  signal?: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const { options: own } = agent as unknown as { readonly options: AgentOptions };
    const options = {
      ...own,
      host,
      port,
      servername: own.servername ?? serverNameOf(host),
      // An upgrade is of HTTP/1.1 only (RFC 9113 §8.6), whatever the backend would rather speak.
      ALPNProtocols: ['http/1.1'],
      timeout: 0,
    };
    const socket = agent.createConnection(options, (error) => {
      if (error !== null) reject(error);
    });
    if (socket === undefined || socket === null) return;
    const onAbort = (): void => {
      settle(() => reject(signal?.reason as Error));
      socket.destroy(new Error('given up'));
    };
    const onError = (error: Error): void => settle(() => reject(error));
    const onClose = (): void => settle(() => reject(new Error('the connection was closed')));
    // One whose certificate is not the pinned one is destroyed by then, and about to say so.
    const onReady = (): void => {
      if (!socket.destroyed) settle(() => resolve(socket));
    };
    const ready = scheme === 'https' ? 'secureConnect' : 'connect';
    const settle = (finish: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', onError).off('close', onClose).off(ready, onReady);
      finish();
    };
    if (signal !== undefined) listenForAbort(signal, onAbort);
    socket.once('error', onError).once('close', onClose).once(ready, onReady);
  });
}
