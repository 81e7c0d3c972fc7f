import { setMaxListeners } from 'node:events';
import { AbortSource } from '../abortable-signal.js';
import { DialTimeoutError, formatEndpoint, type DialPhase } from '../errors.js';

export interface DialAttemptOptions {
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  /** Deadline of the whole dial. */
  readonly timeoutMs: number;
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined;
}

const WAITED_FOR: Readonly<Record<DialPhase, string>> = {
  queue:
    'still waiting for a free channel; raise pool.maxChannelsPerConnection or pool.maxConnections, or close streams sooner',
  connect: 'still connecting',
  open: 'the node has not answered; the endpoint may be dropping packets',
};

/** One dial from its beginning to its end: what is asked for, how far it has come, and the signal that ends it early. */
export class DialAttempt implements Disposable {
  /** The endpoint's host, as the node is to be asked for it. */
  host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  /** What the dial waits for at the moment. */
  phase: DialPhase = 'queue';
  /** The node it is at. */
  node: string | undefined;
  /** Aborts when the caller, the deadline or the dialer ends the dial; its reason is what the dial rejects with. */
  readonly signal = new AbortSource();

  readonly #callerSignal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor({ host, port, allowHalfOpen, timeoutMs, signal }: DialAttemptOptions) {
    this.host = host;
    this.port = port;
    this.allowHalfOpen = allowHalfOpen;
    this.#callerSignal = signal;
    this.#timer = setTimeout(() => this.#timeOut(timeoutMs), timeoutMs);
    if (signal?.aborted === true) this.#onCallerAbort();
    else if (signal !== undefined) this.#listenTo(signal);
  }

  /** Whether its own deadline ended it. */
  get timedOut(): boolean {
    return this.signal.reason instanceof DialTimeoutError;
  }

  abort(reason: unknown): void {
    this.signal.abort(reason);
  }

  /** Lets go of the deadline and of the caller's signal. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#callerSignal?.removeEventListener('abort', this.#onCallerAbort);
  }

  #listenTo(signal: AbortSignal): void {
    // One signal for many dials, such as a shutdown's, is no leak for Node to warn of.
    if (signal instanceof EventTarget) setMaxListeners(0, signal);
    signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  readonly #onCallerAbort = (): void => this.abort(this.#callerSignal?.reason);

  #timeOut(timeoutMs: number): void {
    const { host, port, node, phase } = this;
    const through = node === undefined ? '' : ` through ${node}`;
    this.abort(
      new DialTimeoutError(
        phase,
        `no stream to ${formatEndpoint(host, port)}${through} within ${timeoutMs} ms: ${WAITED_FOR[phase]}`,
        {
          node,
          host,
          port,
        },
      ),
    );
  }
}
