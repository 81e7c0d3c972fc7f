import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { debug } from '../diagnostics.js';
import type { Dialer } from '../dialer.js';
import { messageOf } from '../errors.js';
import { checkDialer } from '../validation.js';
import { urlOf, type AddressOf, type TcpPlace, type UnixPlace } from './address.js';
import { failureOf, type Failure } from './failure.js';
import { httpAnswer } from './http-answer.js';
import { LocalListener } from './local-listener.js';
import { Login } from './login.js';
import { checkHttpConnectOptions, type HttpConnectOptions } from './options.js';
import type { Session } from './session.js';

/** RFC 9110 §9.3.6: no fields are needed, and none may speak of a body. */
const OPENED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');

const NO_HTTP = httpAnswer({ status: 400, line: 'This is no HTTP/1.1.' });

const tooLarge = (maxBytes: number): Buffer =>
  httpAnswer({ status: 431, line: `The head is larger than ${maxBytes} bytes.` });

const LATE = httpAnswer({ status: 408, line: 'No complete request came in time.' });

/**
 * An HTTP proxy on this machine that knows CONNECT (RFC 9110 §9.3.6) and nothing else, and whose connections go through a dialer: for
 * clients that take `HTTPS_PROXY`, such as kubectl, curl, browsers and gRPC. Names are resolved on the node. With `username` and `password` it asks for
 * them (Basic, RFC 7617).
 *
 * A failed dial is told by the status and a line of text, which is also the reason phrase: 502 when the endpoint was not reached, 503 when the
 * tunnel is not there, 504 when it took too long. A stream that is cut resets the client.
 *
 * Whoever reaches the proxy gets wherever the nodes get. On 127.0.0.1 that is every user of this machine, but no web page: pages cannot send CONNECT,
 * and a connection on which anything else came first is closed. Name a UNIX socket, or set a password, to keep out other users.
 *
 * @example
 * ```ts
 * const proxy = await httpConnect(dialer);
 * console.log(`HTTPS_PROXY=${proxy.url} kubectl --server https://10.0.0.11:6443 get pods`);
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; and `node:net`'s own error when the address cannot be listened on,
 *   such as `EADDRINUSE`
 */
export async function httpConnect<At extends TcpPlace | UnixPlace = TcpPlace>(
  dialer: Dialer,
  options: HttpConnectOptions<At> = {},
): Promise<LocalListener<AddressOf<At>>> {
  checkDialer(dialer);
  const checked = checkHttpConnectOptions(options);
  const sessions = new WeakMap<Duplex, Session>();
  const parser = headParser(sessions, Login.of(checked), checked.maxHeadBytes);
  return LocalListener.open(dialer, checked, {
    name: 'httpConnect',
    serve: (session) => {
      sessions.set(session.client, session);
      parser.emit('connection', session.client);
    },
    requestTimeoutMs: checked.requestTimeoutMs,
    late: LATE,
    url: (address) => urlOf('http', address),
  });
}

/** Node's own HTTP server, which does not listen: it reads one head from each of the sockets that it is handed. */
function headParser(
  sessions: WeakMap<Duplex, Session>,
  login: Login | undefined,
  maxHeaderSize: number,
): Server {
  const server = createServer({ maxHeaderSize, keepAliveTimeout: 0 });
  const refuse = (request: IncomingMessage): void => {
    // Or Node, which has nowhere to put its body, stops reading.
    request.resume();
    sessions.get(request.socket)?.refuse(notConnect(request));
    stopParsing(request.socket);
  };
  server.on('request', refuse);
  server.on('checkContinue', refuse);
  server.on('checkExpectation', refuse);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    debug.listen('httpConnect: %s', error.message);
    const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
    sessions.get(socket)?.refuse(isTooLarge ? tooLarge(maxHeaderSize) : NO_HTTP);
  });
  server.on('connect', (request, socket, early) => {
    const session = sessions.get(socket);
    if (session?.isAsking !== true) {
      // It comes too late, or behind another request, by which it was refused. Node has stopped reading.
      socket.resume();
      return;
    }
    // Node does not count what stands between names and values.
    if (session.client.bytesRead - early.length > maxHeaderSize) session.refuse(tooLarge(maxHeaderSize));
    else connect(session, request, early, login);
  });
  return server;
}

/**
 * Has what comes behind a refused request thrown away, until the client has read the answer and closes. Node would make a request of each, and keep
 * it until the one before it is answered; and what lies unread when a socket is closed resets it, and the answer might be lost.
 */
function stopParsing(socket: Socket): void {
  // A listener of one's own has Node's parser leave the bytes to the socket.
  socket.removeAllListeners('data').on('data', () => undefined);
}

function connect(
  session: Session,
  { url = '', headers }: IncomingMessage,
  early: Buffer,
  login: Login | undefined,
): void {
  if (login !== undefined && !isLoggedIn(headers['proxy-authorization'], login)) {
    const line = 'This proxy asks for a username and a password (Basic).';
    const challenge = { 'Proxy-Authenticate': 'Basic realm="tunnel-dialer", charset="UTF-8"' };
    session.refuse(httpAnswer({ status: 407, line, headers: challenge }));
    return;
  }
  const authority = /^(\[[^[\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(url);
  const [, host, port] = authority ?? [];
  if (host === undefined || port === undefined) {
    const line = `CONNECT needs a host and a port, such as 10.0.0.11:443, and got ${url}`;
    session.refuse(httpAnswer({ status: 400, line }));
    return;
  }
  if (early.length > 0) session.client.unshift(early);
  session.carry(host, Number(port), { opened: OPENED, failed: failed });
}

function isLoggedIn(authorization: string | undefined, login: Login): boolean {
  const [, encoded = ''] = /^basic +([\w+/=-]+) *$/i.exec(authorization ?? '') ?? [];
  const credentials = Buffer.from(encoded, 'base64');
  const colon = credentials.indexOf(':');
  return colon >= 0 && login.accepts(credentials.subarray(0, colon), credentials.subarray(colon + 1));
}

function failed(error: unknown): Buffer {
  return httpAnswer({ status: statusOf(failureOf(error)), line: messageOf(error), inReason: true });
}

function statusOf(failure: Failure): number {
  switch (failure) {
    case 'bad-request':
      return 400;
    case 'refused':
    case 'host-unreachable':
    case 'network-unreachable':
    case 'prohibited':
    case 'endpoint':
    case 'no-route':
      return 502;
    case 'tunnel':
      return 503;
    case 'timeout':
      return 504;
  }
}

function notConnect({ method, url = '' }: IncomingMessage): Buffer {
  const isForProxy = url.includes('://');
  const line = isForProxy
    ? 'This proxy of tunnel-dialer takes CONNECT only: have the client tunnel http:// URLs, too (curl --proxytunnel), or use a SOCKS5 proxy.'
    : 'This is an HTTP CONNECT proxy of tunnel-dialer and no web server: set it as HTTPS_PROXY, or as the proxy of a client.';
  return httpAnswer({ status: 405, line, headers: { Allow: 'CONNECT' }, hasBody: method !== 'HEAD' });
}
