import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Dialer } from '../dialer.js';
import { InvalidOptionError } from '../errors.js';
import { checkDialer, describeKind } from '../validation.js';
import { adopt } from './agent-sockets.js';
import {
  checkConnectionOptions,
  checkTlsOptions,
  type TunnelConnectionOptions,
  type TunnelTlsConnectionOptions,
} from './connection-options.js';
import { Connections } from './connections.js';
import { checkRequest, endpointOf, type ConnectOptions } from './endpoint.js';
import { PendingSocket } from './pending-socket.js';
import { serverNameOf } from './tls-handshake.js';

/** What `http.request`, `https.request` and `ws` take as `createConnection`: is told a request's options, and returns at once. */
export type CreateConnection = (request: object | string | number) => Socket;

/** What `http2.connect` takes as `createConnection`: is told the URL and the session's options, and returns at once. */
export type CreateHttp2Connection = (authority: URL, options: object) => Socket;

/**
 * Makes the connections of `http.request` and of `ws` (`ws:`) that are to have no agent, as their option `createConnection`: each request
 * has one of its own, and nothing is kept. The request's `timeout` counts from the dial on. An agent that is given beside it takes
 * precedence. See {@link httpAgent} for errors.
 *
 * @example
 * ```ts
 * const socket = new WebSocket('ws://10.244.1.7:8080/', { createConnection: httpConnection(dialer) });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function httpConnection(dialer: Dialer, options: TunnelConnectionOptions = {}): CreateConnection {
  checkDialer(dialer);
  const connections = new Connections(dialer, checkConnectionOptions(options));
  return (request) => {
    const asked = requestOptions(request);
    const { host, port } = endpointOf(asked);
    const stream = connections.open(host, port, PendingSocket);
    if (asked.timeout) stream.setTimeout(asked.timeout);
    connections.follow(stream);
    adopt(stream, stream);
    // It has what Node calls on a socket, but not all that the type has.
    return stream as unknown as Socket;
  };
}

/**
 * The same over TLS, for `https.request` and `ws` (`wss:`). The endpoint's certificate is verified against the host of the request, or
 * `servername`. TLS options of the request are taken where `options` does not have them. Its sessions are not resumed.
 *
 * @example
 * ```ts
 * https.get('https://10.0.0.11:10250/healthz', { createConnection: httpsConnection(dialer, { ca }) }, (response) => { … });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also for a key or certificate that is none
 */
export function httpsConnection(dialer: Dialer, options: TunnelTlsConnectionOptions = {}): CreateConnection {
  checkDialer(dialer);
  const connections = new Connections(dialer, checkTlsOptions(options));
  return (request) => {
    const asked = requestOptions(request);
    const { host, port } = endpointOf(asked);
    const stream = connections.open(host, port, PendingSocket);
    const socket = secure(connections, stream, host, { ALPNProtocols: ['http/1.1'], ...asked });
    if (asked.timeout) socket.setTimeout(asked.timeout);
    adopt(socket, stream);
    return socket;
  };
}

/**
 * Makes the connection of `http2.connect`, as its option `createConnection`: in plain text for `http:`, which the endpoint must take for
 * HTTP/2 without being asked (RFC 9113 §3.3), else over TLS. The endpoint's certificate is verified against the host of the URL, or
 * `servername`. TLS options of `http2.connect` are taken where `options` does not have them.
 *
 * A session that is destroyed gives its dial up, but for `http:`: Node has written to the connection by then, and waits for that. There,
 * `signal` gives the dial up, and `dialTimeoutMs` bounds it.
 *
 * @example
 * ```ts
 * const session = http2.connect('https://10.244.1.7:8443', { createConnection: http2Connection(dialer, { ca }) });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also for a key or certificate that is none
 */
export function http2Connection(
  dialer: Dialer,
  options: TunnelTlsConnectionOptions = {},
): CreateHttp2Connection {
  checkDialer(dialer);
  const connections = new Connections(dialer, checkTlsOptions(options));
  return ({ hostname, port, protocol }, asked) => {
    const isSecure = protocol !== 'http:';
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const stream = connections.open(host, Number(port || (isSecure ? 443 : 80)), PendingSocket);
    if (isSecure) {
      const socket = secure(connections, stream, host, { ...asked, ALPNProtocols: ['h2'] });
      return endedByDestroy(socket);
    }
    connections.follow(stream);
    // As above: http2 makes a stream that is no net.Socket into one.
    return stream as unknown as Socket;
  };
}

/** A session that is destroyed ends its socket, and waits until that has been connected and told the endpoint so. */
function endedByDestroy(socket: TLSSocket): TLSSocket {
  const end = socket.end.bind(socket) as (...given: unknown[]) => TLSSocket;
  let isUp = false;
  socket.once('secureConnect', () => (isUp = true));
  return Object.assign(socket, {
    end: (...given: unknown[]): TLSSocket => (isUp ? end(...given) : socket.destroy()),
  });
}

function requestOptions(request: unknown): ConnectOptions {
  if (typeof request !== 'object' || request === null)
    throw new InvalidOptionError('request', `must be the options of a request, got ${describeKind(request)}`);
  checkRequest(request);
  return request;
}

function secure(
  connections: Connections,
  stream: PendingSocket,
  host: string,
  { servername, ...asked }: ConnectOptions & Pick<ConnectionOptions, 'ALPNProtocols'>,
): TLSSocket {
  // `tls.connect` fails on an assertion for some options that are there but undefined.
  const given = Object.entries(asked as object).filter(([, value]) => value !== undefined);
  return connections.secure(stream, {
    ...Object.fromEntries(given),
    host,
    servername: servername ?? serverNameOf(host),
  });
}
