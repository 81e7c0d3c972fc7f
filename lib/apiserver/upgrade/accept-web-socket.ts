import type { WebSocket, WebSocketServer } from 'ws';
import { messageOf } from '../../errors.js';
import { loadWs } from '../../kubelet/streaming/load-ws.js';
import { printable } from '../../printable.js';
import type { UpgradeExchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { ClientGoneError } from './attempt.js';

interface Acceptance {
  /** The one of those that are offered that is taken, if one is. */
  readonly subprotocol: string | undefined;
  /** How long a message of the client's may be. */
  readonly maxMessageBytes: number;
}

/**
 * Accepts a client's WebSocket, on a connection that was made ready by `prepare`.
 *
 * @throws {@link StatusError} 400 for what is no WebSocket, 500 where the package `ws` is missing; {@link ClientGoneError}
 */
export function acceptWebSocket(
  { request, socket }: UpgradeExchange,
  { subprotocol, maxMessageBytes }: Acceptance,
): Promise<WebSocket> {
  // The types of the package, as it is imported, do not tell what it has when it is required.
  const { Server } = loadWs() as unknown as { readonly Server: typeof WebSocketServer };
  const server = new Server({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  // A tunnel's name is no token, and the package takes no other (RFC 6455 §4.1).
  const headers = { ...request.headers, 'sec-websocket-protocol': undefined };
  const unnamed = Object.create(request, { headers: { value: headers } }) as typeof request;
  if (subprotocol !== undefined)
    server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${subprotocol}`));
  return new Promise((resolve, reject) => {
    // The package tells nothing of who has gone before it answers.
    const onGone = (): void => reject(new ClientGoneError());
    socket.once('close', onGone);
    if (socket.destroyed) onGone();
    server.once('wsClientError', (error) =>
      reject(new StatusError(400, 'BadRequest', printable(messageOf(error)), { cause: error })),
    );
    // What came early has been put back.
    server.handleUpgrade(unnamed, socket, Buffer.alloc(0), (opened) => {
      socket.off('close', onGone);
      resolve(opened);
    });
  });
}
