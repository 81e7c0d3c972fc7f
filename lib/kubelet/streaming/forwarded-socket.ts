import { listenForAbort } from '../../abortable-signal.js';
import { EndpointError, asError } from '../../errors.js';
import { SocketLike } from '../../socket-like.js';
import { ownMemory } from '../own-memory.js';
import { protocolError, shown, StreamingError } from './errors.js';
import type { Wire, WireEnd } from './wire.js';

type WriteCallback = (error?: Error | null) => void;

/** Of the one port that a connection forwards; of the next they would be 2 and 3. */
const DATA = 0;
const ERROR = 1;

export interface ForwardedSocketOptions {
  port: number;
  lingerMs: number;
  signal: AbortSignal | undefined;
}

/**
 * A connection to a port of a pod, over a WebSocket of its own: a `Duplex` that passes for a connected `net.Socket`.
 *
 * The pod's end of data is its end. Ours cannot be told: the protocol has no half-close. After `end()` the pod's answer is read on as usual,
 * and when the pod is silent for `lingerMs` the connection is closed, which is what then tells it; the socket fails with
 * `ERR_KUBELET_NO_HALF_CLOSE`, since more might have come. `destroy()` closes at once.
 *
 * What the kubelet says of a failure destroys it with `ERR_KUBELET_PORT_FORWARD`, a lost tunnel with its own error.
 */
export class ForwardedSocket extends SocketLike {
  /** Name of the node whose kubelet it is. */
  readonly node: string;
  /** Always `false`: it is open when it is there. */
  readonly connecting = false;
  /** Always `false`: it is open when it is there. */
  readonly pending = false;
  /** The port in the pod. */
  readonly remotePort: number;
  readonly #wire: Wire;
  readonly #signal: AbortSignal | undefined;
  readonly #lingerMs: number;
  readonly #onAbort = (): void => void this.destroy(this.#abortReason());
  /** Channels whose first message, the port, has come. */
  readonly #greeted = new Set<number>();
  #linger: NodeJS.Timeout | undefined;
  #isClosed = false;
  #inFlight: WriteCallback | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  /** @internal */
  constructor(wire: Wire, { port, lingerMs, signal }: ForwardedSocketOptions) {
    super({ allowHalfOpen: false });
    this.node = wire.access.node;
    this.remotePort = port;
    this.#wire = wire;
    this.#lingerMs = lingerMs;
    this.#signal = signal;
    if (signal !== undefined) listenForAbort(signal, this.#onAbort);
    wire.listen({
      onData: (channel, data) => this.#receive(channel, data),
      onEnd: (end) => this.#wireEnded(end),
    });
  }

  /** Bytes that have arrived. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes that have left the process or wait for it. */
  get bytesWritten(): number {
    return this.#bytesWritten + this.writableLength;
  }

  /** Does nothing: the tunnel keeps the process running until the dialer is closed. */
  ref(): this {
    return this;
  }

  /** Does nothing: the tunnel keeps the process running until the dialer is closed. */
  unref(): this {
    return this;
  }

  override _read(): void {
    this.#wire.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#send([chunk], callback);
  }

  override _writev(items: { chunk: Buffer; encoding: BufferEncoding }[], callback: WriteCallback): void {
    this.#send(
      items.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _final(callback: WriteCallback): void {
    if (!this.#isClosed) this.#startLinger();
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    clearTimeout(this.#linger);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#wire.close();
    this.#settleWrite(error ?? this.#reset('was destroyed before this was written'));
    super._destroy(error, callback);
  }

  #send(chunks: readonly Buffer[], callback: WriteCallback): void {
    if (this.#isClosed) {
      callback(this.#reset('has closed the connection'));
      return;
    }
    this.#inFlight = callback;
    this.#wire.send(DATA, chunks, () => {
      this.noteTraffic();
      this.#bytesWritten += chunks.reduce((sum, { length }) => sum + length, 0);
      this.#settleWrite();
    });
  }

  #settleWrite(error?: Error | null): void {
    const callback = this.#inFlight;
    this.#inFlight = undefined;
    callback?.(error);
  }

  #receive(channel: number, data: Buffer): void {
    if (data.length === 0) return;
    if (channel !== DATA && channel !== ERROR) {
      this.#wire.fail(
        protocolError(this.node, `sent data on channel ${channel}, which a forwarded port has not`),
      );
    } else if (!this.#greeted.has(channel)) this.#greet(channel, data);
    else if (channel === ERROR) this.#wire.fail(this.#refused(data));
    else this.#take(data);
  }

  /** The first message on each channel is the port, little-endian (pkg/kubelet/cri/streaming/portforward/websocket.go). */
  #greet(channel: number, data: Buffer): void {
    this.#greeted.add(channel);
    if (data.length === 2 && data.readUInt16LE() === this.remotePort) return;
    const problem = `did not begin channel ${channel} with the port ${this.remotePort}`;
    this.#wire.fail(protocolError(this.node, problem));
  }

  #take(data: Buffer): void {
    this.#bytesRead += data.length;
    this.noteTraffic();
    this.#linger?.refresh();
    if (!this.push(ownMemory(data))) this.#wire.pause();
  }

  /** Behind a full reader the pod cannot be heard: only silence while we listen counts. */
  #startLinger(): void {
    this.#linger = setTimeout(() => {
      if (this.readableLength > 0) this.#startLinger();
      else this.destroy(this.#noHalfClose());
    }, this.#lingerMs);
  }

  #wireEnded(end: WireEnd): void {
    this.#isClosed = true;
    clearTimeout(this.#linger);
    if (end.how === 'failed') this.destroy(end.error);
    else if (end.code !== NORMAL && end.code !== WITHOUT_CODE) {
      const why = end.reason === '' ? '' : ` (${shown(end.reason)})`;
      this.destroy(protocolError(this.node, `closed the forwarded port with ${end.code}${why}`));
    } else if (this.writableLength > 0)
      this.destroy(this.#reset('closed the connection before it was sent all'));
    else this.push(null);
  }

  #refused(data: Buffer): StreamingError {
    const text = shown(data.toString());
    const problem = `port ${this.remotePort} of the pod could not be forwarded by the kubelet of ${this.node}: ${text}`;
    return new StreamingError('ERR_KUBELET_PORT_FORWARD', problem, { node: this.node });
  }

  #noHalfClose(): StreamingError {
    const problem =
      `port ${this.remotePort} of the pod was silent for ${this.#lingerMs} ms after end(), and was not told of the end before the ` +
      'connection was closed: the protocol has no half-close. Raise lingerMs if the answer takes longer';
    return new StreamingError('ERR_KUBELET_NO_HALF_CLOSE', problem, { node: this.node });
  }

  #reset(what: string): EndpointError {
    const { node, remotePort: port } = this;
    return new EndpointError('ECONNRESET', `port ${port} of the pod ${what}`, { node, port });
  }

  #abortReason(): Error {
    return asError(this.#signal?.reason);
  }
}

/** RFC 6455 §7.4.1. */
const NORMAL = 1000;
const WITHOUT_CODE = 1005;
