import type { Socket } from 'node:net';
import type WebSocket from 'ws';
import { EndpointError } from '../../errors.js';
import type { KubeletAccess } from '../kubelet-access.js';
import { protocolError, shown } from './errors.js';
import { framesOf } from './frames.js';
import { UnreadLimit } from './unread-limit.js';

/** So many messages of a write may be on their way, so that a stream is not as slow as one message after the other. */
const MAX_IN_FLIGHT = 4;

/** How long a wire that takes no more may take to end. */
const END_MS = 1_000;

/** How a wire ended: told by the kubelet with a close frame (RFC 6455 §7.4), or not. */
export type WireEnd =
  | { readonly how: 'closed'; readonly code: number; readonly reason: string }
  | { readonly how: 'failed'; readonly error: Error };

/** Who is told what arrives. */
export interface WireListener {
  onData(channel: number, data: Buffer): void;
  /** The last call. */
  onEnd(end: WireEnd): void;
}

/** A WebSocket to a kubelet that carries messages of channels. */
export class Wire {
  /** The subprotocol that was agreed on. */
  readonly protocol: string;
  readonly access: KubeletAccess;
  readonly #ws: WebSocket;
  #listener: WireListener | undefined;
  /** Why the socket below failed, which `ws` does not tell. */
  #failure: Error | undefined;
  readonly #unread: UnreadLimit;
  #isPaused = false;
  #endTimer: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(access: KubeletAccess, ws: WebSocket, socket: Socket) {
    this.access = access;
    this.protocol = ws.protocol;
    this.#ws = ws;
    // Whether it has left is told by the data behind it.
    this.#unread = new UnreadLimit((payload) => ws.ping(payload, undefined, () => undefined));
    ws.on('pong', (payload: Buffer) => this.#unread.answered(payload));
    socket.on('error', (error) => (this.#failure ??= error));
    ws.on('error', (error) =>
      this.fail(protocolError(access.node, `broke the WebSocket: ${shown(error.message)}`, error)),
    );
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('close', (code, reason) => this.#closed(code, reason.toString()));
    // What came with the kubelet's consent may be a failure: whoever waits for the stream has to have it before, to hear of it.
    ws.pause();
    setImmediate(() => {
      if (!this.#isPaused) ws.resume();
    });
  }

  /** To be called in the turn in which the wire is made. */
  listen(listener: WireListener): void {
    this.#listener = listener;
  }

  /**
   * Calls back when all of it has left the process, which it does as far as the kubelet reads. When some of it has not, the wire ends
   * instead.
   */
  send(channel: number, chunks: readonly Buffer[], callback: () => void): void {
    const frames = framesOf(channel, chunks);
    let next = frames.next();
    let inFlight = 0;
    let isHeld = false;
    const sent = (error?: Error | null): void => {
      inFlight -= 1;
      if (error) this.#limitEnd();
      else sendMore();
    };
    const goOn = (): void => {
      isHeld = false;
      sendMore();
    };
    const sendMore = (): void => {
      while (next.done !== true && inFlight < MAX_IN_FLIGHT && !isHeld) {
        if (this.#unread.hasRoom) {
          inFlight += 1;
          this.#unread.beforeSending(next.value.length);
          this.#ws.send(next.value, sent);
          next = frames.next();
        } else {
          isHeld = true;
          this.#unread.whenRoom(goOn);
        }
      }
      if (next.done === true && inFlight === 0) callback();
    };
    sendMore();
  }

  /** Takes nothing more from the tunnel, but for what has arrived already. */
  pause(): void {
    this.#isPaused = true;
    this.#ws.pause();
    this.#unread.setReading(false);
  }

  resume(): void {
    this.#isPaused = false;
    this.#unread.setReading(true);
    this.#ws.resume();
  }

  /** Ends it with an error, at once. */
  fail(error: Error): void {
    this.#end({ how: 'failed', error: this.#failure ?? error });
    this.close();
  }

  /** Closes the connection at once; the kubelet sees its end. */
  close(): void {
    this.#stop();
    this.#ws.terminate();
  }

  /** Fulfilled when nothing is left of it. */
  closed(): Promise<void> {
    if (this.#ws.readyState === this.#ws.CLOSED) return Promise.resolve();
    return new Promise((resolve) => this.#ws.once('close', () => resolve()));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    const { node } = this.access;
    const [channel] = data;
    if (!isBinary) this.fail(protocolError(node, 'sent a text message where only binary ones belong'));
    else if (channel === undefined) this.fail(protocolError(node, 'sent a message without a channel'));
    else this.#listener?.onData(channel, data.subarray(1));
  }

  /** What cannot be sent any more is about to end: the kubelet closes, or the socket has failed. It has a while to say which. */
  #limitEnd(): void {
    if (this.#listener === undefined) return;
    this.#endTimer ??= setTimeout(() => this.fail(this.#cut()), END_MS);
  }

  #closed(code: number, reason: string): void {
    if (this.#failure !== undefined) this.#end({ how: 'failed', error: this.#failure });
    else if (code === NO_CLOSE_FRAME) this.#end({ how: 'failed', error: this.#cut() });
    else this.#end({ how: 'closed', code, reason });
  }

  #cut(): EndpointError {
    const { node, host, port } = this.access;
    return new EndpointError('ECONNRESET', `the kubelet of ${node} cut the connection`, { node, host, port });
  }

  #end(end: WireEnd): void {
    const listener = this.#listener;
    this.#stop();
    listener?.onEnd(end);
  }

  #stop(): void {
    this.#listener = undefined;
    clearTimeout(this.#endTimer);
    this.#unread.stop();
  }
}

const NO_CLOSE_FRAME = 1006;
