import { connect } from 'node:net';
import type { SpdyHeaders } from '../../spdy/header-block.js';
import type { SpdySession, TakeStream } from '../../spdy/session.js';
import type { SpdyStream } from '../../spdy/stream.js';
import type { Pod } from './pods.js';
import { forwardingError, leave } from './port-forward.js';

/** How long a connection waits for the second of its two streams (k8s.io/kubelet, pkg/cri/streaming/portforward/httpstream.go). */
const PAIR_TIMEOUT_MS = 30_000;

/** The streams of one connection. */
interface Pair {
  readonly port: number;
  readonly limit: NodeJS.Timeout;
  data?: SpdyStream;
  error?: SpdyStream;
}

/**
 * Forwards ports of this machine: a connection for every two streams with the same `requestid`, one of data and one for an error. Each
 * direction of the data ends alone.
 */
export class SpdyPortForward {
  readonly #pod: Pod;
  readonly #pairs = new Map<string, Pair>();

  constructor(pod: Pod) {
    this.#pod = pod;
  }

  /** Judges a stream by its headers. */
  judge(headers: SpdyHeaders): TakeStream | undefined {
    const kind = headers.get('streamtype');
    const port = Number(headers.get('port'));
    const isPort = Number.isInteger(port) && port > 0 && port <= 65535;
    const request = headers.get('requestid') ?? '';
    const known = this.#pairs.get(request);
    if ((kind !== 'data' && kind !== 'error') || !isPort || known?.[kind] !== undefined) return undefined;
    return (stream) => this.#take(stream, kind, port, request);
  }

  /** Resolves when the client is gone. */
  async serve(session: SpdySession): Promise<void> {
    await session.closed;
    for (const { limit } of this.#pairs.values()) clearTimeout(limit);
  }

  #take(stream: SpdyStream, kind: 'data' | 'error', port: number, request: string): void {
    const pair = this.#pairs.get(request) ?? { port, limit: this.#expire(request) };
    pair[kind] = stream;
    this.#pairs.set(request, pair);
    const { data, error } = pair;
    if (data === undefined || error === undefined) return;
    clearTimeout(pair.limit);
    this.#pairs.delete(request);
    this.#forward(data, error, pair.port);
  }

  #expire(request: string): NodeJS.Timeout {
    return setTimeout(() => {
      const pair = this.#pairs.get(request);
      this.#pairs.delete(request);
      pair?.data?.destroy();
      pair?.error?.destroy();
    }, PAIR_TIMEOUT_MS);
  }

  #forward(data: SpdyStream, error: SpdyStream, port: number): void {
    error.resume();
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    socket.once('error', (problem) => error.end(forwardingError(problem, this.#pod, port)));
    socket.pipe(data);
    data.pipe(socket);
    // Older clients end their own connection only with this.
    socket.once('end', () => error.end());
    socket.once('close', () => {
      error.end();
      data.end();
      // What the client goes on sending would hold up the others.
      data.unpipe(socket).resume();
    });
    data.once('close', () => void leave(socket));
  }
}
