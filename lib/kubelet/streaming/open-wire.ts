import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { formatEndpoint } from '../../errors.js';
import { unlessAborted } from '../../unless-aborted.js';
import type { KubeletAccess } from '../kubelet-access.js';
import { refusalIn } from '../refusal.js';
import { within } from '../within.js';
import { protocolError, shown } from './errors.js';
import { loadWs } from './load-ws.js';
import { Wire } from './wire.js';

/** Far more than a kubelet sends in one message, which is what its runtime gives it: 32 KiB. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** A kubelet sends a message in one piece; each piece may hold 16 KiB of what came with it. */
const MAX_FRAGMENTS = 64;

export interface WireRequest {
  /** Path and query as the kubelet names them. */
  readonly path: string;
  /** Subprotocols, the best first. */
  readonly protocols: readonly string[];
  /** From the call to the open stream, in milliseconds. Default: as much time as the kubelet has for any answer. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Opens a WebSocket to a kubelet. `take` is called in the turn in which it is open, so that nothing that arrives is missed.
 *
 * Old kubelets take the first subprotocol they know from the list of the request (apiserver/pkg/util/wsstream/conn.go, `handshake`), so
 * all can be offered at once; a list without any they know is a 403 without a text (golang.org/x/net/websocket/server.go).
 *
 * @throws {@link KubeletError} when the kubelet refuses; {@link KubeletTimeoutError}; {@link StreamingError}; errors of the dial and of TLS as they are; the signal's reason
 */
export function openWire<T>(
  access: KubeletAccess,
  request: WireRequest,
  take: (wire: Wire) => T,
): Promise<T> {
  const { signal, timeoutMs = access.timeoutMs } = request;
  return within(access, { timeoutMs, signal, what: 'open the stream' }, async (given) => {
    const headers = await unlessAborted(access.headers(), given);
    return connect(access, request, { headers, signal: given }, take);
  });
}

function connect<T>(
  access: KubeletAccess,
  { path, protocols }: WireRequest,
  { headers, signal }: { headers: Record<string, string>; signal: AbortSignal },
  take: (wire: Wire) => T,
): Promise<T> {
  const WebSocket = loadWs();
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`wss://${formatEndpoint(access.host, access.port)}${path}`, [...protocols], {
      agent: access.agent,
      headers,
      maxPayload: MAX_MESSAGE_BYTES,
      maxFragments: MAX_FRAGMENTS,
      perMessageDeflate: false,
    });
    let socket: Socket | undefined;
    const settle = (finish: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      finish();
    };
    const onAbort = (): void => {
      settle(() => reject(signal.reason as Error));
      ws.terminate();
    };
    signal.addEventListener('abort', onAbort);
    // Stays: giving up makes `ws` emit one more.
    ws.on('error', (error) => settle(() => reject(connectError(access, error))));
    ws.once('upgrade', (response) => (socket = response.socket));
    ws.once('unexpected-response', (upgrade, response) => {
      refusal(access, protocols, upgrade, response, signal).then(
        (error) => settle(() => reject(error)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
    ws.once('open', () => {
      if (signal.aborted || socket === undefined) return;
      const wire = new Wire(access, ws, socket);
      settle(() => resolve(take(wire)));
    });
  });
}

/** Errors of Node and of the dial have a code; those of `ws` about what the kubelet answered have none. */
function connectError({ node }: KubeletAccess, error: Error): Error {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined
    ? protocolError(node, `does not speak WebSocket: ${shown(error.message)}`, error)
    : error;
}

async function refusal(
  access: KubeletAccess,
  protocols: readonly string[],
  request: ClientRequest,
  response: IncomingMessage,
  signal: AbortSignal,
): Promise<Error> {
  const told = refusalIn(response, access, signal);
  const error = await unlessAborted(told, signal).finally(() => request.destroy());
  if (error.status !== 403 || error.text.trim() !== '') return error;
  return protocolError(
    access.node,
    `answers 403 without a text, as to subprotocols of which it knows none: ${protocols.join(', ')}`,
  );
}
