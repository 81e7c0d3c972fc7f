import { AbortSource, listenForAbort, type AbortableSignal } from '../abortable-signal.js';
import { DialTimeoutError, formatEndpoint, type DialPhase } from '../errors.js';

/**
 * What a dial is for: a caller's stream; a probe; a `jump`, which is to carry the connection to another node. That one may well be down, which
 * says nothing of the node that is to carry it.
 */
export type DialPurpose = 'caller' | 'probe' | 'jump';

export interface DialSpec {
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  /** Default: `caller`. */
  readonly purpose?: DialPurpose;
  /** Deadline of the whole dial. */
  readonly timeoutMs: number;
  /** The caller's signal. */
  readonly signal?: AbortableSignal | undefined;
}

const WAITED_FOR: Readonly<Record<DialPhase, string>> = {
  queue:
    'still waiting for a free channel; raise pool.maxChannelsPerConnection or pool.maxConnections, or close streams sooner',
  connect: 'still connecting',
  open: 'the node has not answered; the endpoint may be dropping packets',
};

/** One dial from its beginning to its end, wherever it is tried: what is asked for, and the signal that ends it early. */
export class Dial implements Disposable {
  /** The endpoint's host as the caller has it. */
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  readonly purpose: DialPurpose;
  /** Aborts when the caller, the deadline or the dialer ends the dial; its reason is what the dial rejects with. */
  readonly signal = new AbortSource();
  /** Where it was tried last. */
  latest: DialAttempt | undefined;

  readonly #callerSignal: AbortableSignal | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor({ host, port, allowHalfOpen, purpose = 'caller', timeoutMs, signal }: DialSpec) {
    this.host = host;
    this.port = port;
    this.allowHalfOpen = allowHalfOpen;
    this.purpose = purpose;
    this.#callerSignal = signal;
    this.#timer = setTimeout(() => this.#timeOut(timeoutMs), timeoutMs);
    if (signal?.aborted === true) this.#onCallerAbort();
    else if (signal !== undefined) listenForAbort(signal, this.#onCallerAbort);
  }

  abort(reason: unknown): void {
    this.signal.abort(reason);
  }

  /** Lets go of the deadline and of the caller's signal. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#callerSignal?.removeEventListener('abort', this.#onCallerAbort);
  }

  readonly #onCallerAbort = (): void => this.abort(this.#callerSignal?.reason);

  #timeOut(timeoutMs: number): void {
    const { port, latest } = this;
    const { phase = 'queue', node, host = this.host } = latest ?? {};
    const through = node === undefined ? '' : ` through ${node}`;
    const message = `no stream to ${formatEndpoint(host, port)}${through} within ${timeoutMs} ms: ${WAITED_FOR[phase]}`;
    this.abort(new DialTimeoutError(phase, message, { node, host, port }));
  }
}

const OVERTAKEN = new Error('another node was faster');

/** One dial at one node. */
export class DialAttempt implements Disposable {
  readonly dial: Dial;
  /** Name of the node. */
  readonly node: string;
  /** The endpoint's host, as the node is to be asked for it. */
  readonly host: string;
  /** What it waits for at the moment. */
  phase: DialPhase = 'queue';
  /** Aborts with the dial, or when another attempt was faster. */
  readonly signal = new AbortSource();

  constructor(dial: Dial, node: string, host: string) {
    this.dial = dial;
    this.node = node;
    this.host = host;
    dial.latest = this;
    if (dial.signal.aborted) this.#onDialAbort();
    else dial.signal.addEventListener('abort', this.#onDialAbort);
  }

  get port(): number {
    return this.dial.port;
  }

  get allowHalfOpen(): boolean {
    return this.dial.allowHalfOpen;
  }

  /** Whether the deadline of the dial ended it. */
  get timedOut(): boolean {
    return this.signal.reason instanceof DialTimeoutError;
  }

  /** Whether another node was faster. */
  get wasOvertaken(): boolean {
    return this.signal.reason === OVERTAKEN;
  }

  /** Gives it up, because another attempt was faster. */
  overtake(): void {
    this.signal.abort(OVERTAKEN);
  }

  /** Lets go of the dial. */
  [Symbol.dispose](): void {
    this.dial.signal.removeEventListener('abort', this.#onDialAbort);
  }

  readonly #onDialAbort = (): void => this.signal.abort(this.dial.signal.reason);
}
