import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { freePort } from './loopback-port.js';
import { patternStream } from './pattern.js';
import { LOOPBACK, type EndpointPlace } from './sshd.js';

/** A small TCP server for a test to dial. */
export interface Endpoint extends AsyncDisposable {
  /** Host by which the node reaches it. */
  readonly host: string;
  readonly port: number;
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** The next connection to be accepted. */
  nextConnection(): Promise<Socket>;
  /** Stops listening and destroys all connections. */
  close(): Promise<void>;
}

/** What arrived over one connection. */
export interface Received {
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
  /** Whether the peer ended the stream. `false`: it was cut off. */
  readonly ended: boolean;
}

/**
 * Starts a server that leaves each connection to a function. Errors of connections are the test's business,
 * not a crash.
 */
export async function startEndpoint(
  serve: (socket: Socket) => void,
  place: EndpointPlace = LOOPBACK,
  port = 0,
): Promise<Endpoint> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(port, place.listenHost);
  await once(server, 'listening');

  async function close(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    host: place.endpointHost,
    port: (server.address() as AddressInfo).port,
    sockets,
    get accepted() {
      return accepted;
    },
    nextConnection: async () => {
      const [socket] = (await once(server, 'connection')) as [Socket];
      return socket;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Sends back what it gets, and ends when the peer has ended. */
export function startEcho(place?: EndpointPlace): Promise<Endpoint> {
  return startEndpoint((socket) => void socket.pipe(socket), place);
}

/** Sends a pattern (see pattern.ts) and ends. */
export function startSource(bytes: number, { seed = 1, place = LOOPBACK } = {}): Promise<Endpoint> {
  return startEndpoint((socket) => {
    socket.resume();
    pipeline(patternStream(bytes, seed), socket).catch(() => undefined); // the peer may go before the end
  }, place);
}

/** An endpoint that only takes. */
export interface Sink extends Endpoint {
  /** What arrived, in the order in which connections ended. */
  readonly received: readonly Received[];
  /** Waits until so many connections have ended. */
  waitForReceived(count: number): Promise<readonly Received[]>;
}

/** Takes everything. When the peer has ended, it answers with the SHA-256 of it in hex, and ends. */
export async function startSink(place?: EndpointPlace): Promise<Sink> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  const endpoint = await startEndpoint((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    const done = (ended: boolean, sha256: string) => {
      received.push({ bytes, sha256, ended });
      for (const wake of waiting) wake();
    };
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    socket.once('end', () => {
      const sha256 = hash.digest('hex');
      socket.end(sha256);
      done(true, sha256);
    });
    socket.once('close', () => {
      if (!socket.readableEnded) done(false, hash.digest('hex'));
    });
  }, place);

  async function waitForReceived(count: number): Promise<readonly Received[]> {
    while (received.length < count) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
    return received.slice(0, count);
  }

  return {
    ...endpoint,
    get accepted() {
      return endpoint.accepted;
    },
    received,
    waitForReceived,
  };
}

/** Says nothing until the peer has ended; then sends `answer` and ends. */
export function startAnswerAfterEnd(answer: string, place?: EndpointPlace): Promise<Endpoint> {
  return startEndpoint((socket) => {
    socket.resume();
    socket.once('end', () => socket.end(answer));
  }, place);
}

/** Sends its greeting and ends its side; takes what comes until the peer has ended too. */
export function startEarlyEnd(greeting: string, place?: EndpointPlace): Promise<Endpoint> {
  return startEndpoint((socket) => {
    socket.resume();
    socket.end(greeting);
  }, place);
}

/** Accepts and never reads, so that what is sent piles up with the sender. */
export function startNeverReads(place?: EndpointPlace): Promise<Endpoint> {
  return startEndpoint((socket) => void socket.pause(), place);
}

/**
 * Resets the connection: at once, or when it has been sent something and has answered with so many bytes of a pattern. A reset that is as
 * fast as the connection would look to a node like one that was refused.
 */
export function startReset(bytes = 0, place?: EndpointPlace): Promise<Endpoint> {
  return startEndpoint((socket) => {
    if (bytes === 0) {
      socket.resetAndDestroy();
      return;
    }
    socket.once('data', () => {
      patternStream(bytes)
        .on('end', () => socket.resetAndDestroy())
        .pipe(socket, { end: false });
    });
  }, place);
}

/** A port on which nothing listens: a connection to it is refused. */
export async function refusedEndpoint(
  place: EndpointPlace = LOOPBACK,
): Promise<{ host: string; port: number }> {
  return { host: place.endpointHost, port: await freePort(place.listenHost) };
}
