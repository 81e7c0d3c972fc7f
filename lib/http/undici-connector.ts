import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import { checkTlsOptions, type UndiciConnectorOptions } from './connection-options.js';
import { Connections } from './connections.js';
import { UndiciSocketError } from './errors.js';
import { PendingSocket } from './pending-socket.js';
import { serverNameOf } from './tls-handshake.js';
import { TlsSessions } from './tls-sessions.js';

/** Where undici wants a connection to go: what we use of its `buildConnector.Options`. */
export interface UndiciEndpoint {
  readonly hostname: string;
  readonly protocol: string;
  /** Empty for the protocol's own. */
  readonly port: string;
}

/** A connect function as undici 6, 7 and 8 take it in the option `connect` of `Agent`, `Pool` and `Client`. */
export type UndiciConnector = (
  endpoint: UndiciEndpoint,
  callback: (...result: [error: null, socket: Socket | TLSSocket] | [error: Error, socket: null]) => void,
) => void;

/** A stream whose loss undici cannot take for the end of a response. */
class UndiciStream extends PendingSocket {
  /** Whether undici has it: until then errors are those of a dial. */
  isInUse = false;

  protected override streamError(error: Error): Error {
    return this.isInUse ? new UndiciSocketError(error) : error;
  }
}

/**
 * Has a socket be `destroyed` as soon as its stream is lost: undici asks before it sends a request, and events come later. It holds the
 * request back then, for another socket.
 */
function showLoss(socket: Duplex, stream: UndiciStream): void {
  Object.defineProperty(socket, 'destroyed', {
    configurable: true,
    get: (): unknown => stream.isLost || Reflect.get(Duplex.prototype, 'destroyed', socket),
    set: (destroyed: boolean) => Reflect.set(Duplex.prototype, 'destroyed', destroyed, socket),
  });
}

/**
 * A connect function for undici, whose requests, and those of its `fetch`, then go through a dialer. The certificate of an endpoint is
 * verified against the host of the URL, or `servername`, and never the name in a `host` header.
 *
 * Dials reject as they do without undici; `fetch` has their error as `cause` of its own. A stream that is lost later fails with
 * {@link UndiciSocketError}. undici does not tell its connect function that a request was aborted, nor that the dispatcher was destroyed
 * (nodejs/undici#386): a dial under way goes on until it is done, and undici closes its stream then; `dialTimeoutMs` bounds it, `signal`
 * gives it up.
 *
 * undici gives up responses that say nothing for 300 s: set `bodyTimeout: 0`, and `headersTimeout: 0`, on an `Agent` for logs or watches
 * that are followed.
 *
 * @example
 * ```ts
 * const dispatcher = new Agent({ connect: undiciConnector(dialer, { ca: readFileSync('kubelet-ca.crt') }) });
 * const response = await fetch('https://10.0.0.11:10250/healthz', { dispatcher });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also for a key or certificate that is none
 */
export function undiciConnector(dialer: Dialer, options: UndiciConnectorOptions = {}): UndiciConnector {
  checkDialer(dialer);
  const { allowH2 = false, maxCachedSessions = 100, ...own } = checkTlsOptions(options);
  const connections = new Connections(dialer, own);
  const sessions = new TlsSessions(maxCachedSessions);
  const ALPNProtocols = allowH2 ? ['h2', 'http/1.1'] : ['http/1.1'];

  const secure = (stream: UndiciStream, host: string, port: number): TLSSocket => {
    const servername = serverNameOf(host);
    const key = `${host}:${port}`;
    const known = { get: () => sessions.get(key), forget: () => sessions.clear() };
    const socket = connections.secure(stream, { host, servername, ALPNProtocols }, known);
    sessions.keepFrom(socket, key);
    // What undici says to a TLS socket does not reach the stream below it.
    return Object.assign(socket, {
      ref: () => (stream.ref(), socket),
      unref: () => (stream.unref(), socket),
    });
  };

  return ({ hostname, protocol, port: text }, callback) => {
    const isSecure = protocol === 'https:';
    const port = text === '' ? (isSecure ? 443 : 80) : Number(text);
    const stream = connections.open(hostname, port, UndiciStream);
    let socket: Socket | TLSSocket;
    try {
      if (isSecure) socket = secure(stream, hostname, port);
      else {
        connections.follow(stream);
        // It has what undici calls on a socket, but not all that the type has.
        socket = stream as unknown as Socket;
      }
    } catch (error) {
      // undici hangs when it is called back before its connect function has returned.
      queueMicrotask(() => callback(error as Error, null));
      return;
    }
    const failed = (error: Error): void => callback(error, null);
    socket.once('error', failed);
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      stream.isInUse = true;
      showLoss(socket, stream);
      socket.off('error', failed);
      callback(null, socket);
    });
  };
}
