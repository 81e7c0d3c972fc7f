import type { Socket } from 'node:net';
import type { Dialer, TunnelSocket } from '../dialer.js';
import { relay } from './relay.js';
import { reset } from './reset.js';

/** How long a client that was told no may take to read it. */
const FAREWELL_MS = 1_000;

/** What the sessions of a listener share. */
export interface SessionSettings {
  readonly dialer: Dialer;
  readonly via: string | undefined;
  readonly timeoutMs: number | undefined;
  /** How long the client may take to say where to. */
  readonly requestTimeoutMs: number;
  /** What it is told when it takes longer. Default: it is reset. */
  readonly late?: Buffer | undefined;
  /** Whether clients connect by TCP. */
  readonly isTcp: boolean;
  readonly onError: (error: unknown) => void;
  /** The client is gone, and so is its stream. */
  readonly onEnded: (session: Session) => void;
}

/** What a protocol says to its client. */
export interface Answers {
  /** Before the first byte of the stream. */
  readonly opened?: Buffer;
  /** When the dial has failed. Default: the client is reset. */
  readonly failed?: (error: unknown) => Buffer;
}

/**
 *     asking ──carry()──▶ dialling ──dial resolves──▶ open ───▶ closed
 *       │                    └──dial rejects──▶ leaving ─────────▲
 *       └──refuse()───────────────────────────────▲
 */
type State =
  | { readonly name: 'asking'; readonly deadline: NodeJS.Timeout }
  | { readonly name: 'dialling'; readonly dial: AbortController }
  | { readonly name: 'open' }
  | { readonly name: 'leaving'; readonly deadline: NodeJS.Timeout }
  | { readonly name: 'closed' };

/** One accepted client: at most one dial, and the stream that comes of it. */
export class Session {
  readonly client: Socket;
  readonly #settings: SessionSettings;
  #state: State;
  /** The client, and its dial or stream. */
  #open = 1;

  constructor(client: Socket, settings: SessionSettings) {
    this.client = client;
    this.#settings = settings;
    this.#state = {
      name: 'asking',
      deadline: setTimeout(() => this.refuse(settings.late), settings.requestTimeoutMs),
    };
    client.on('error', () => undefined); // 'close' follows
    client.once('end', () => this.#clientEnded());
    client.once('close', () => this.#clientClosed());
  }

  /** Whether the client has yet to say where to. */
  get isAsking(): boolean {
    return this.#state.name === 'asking';
  }

  /** Dials, and carries the client's bytes. Does nothing unless the client is asking. */
  carry(host: string, port: number, answers: Answers = {}): void {
    if (this.#state.name !== 'asking') return;
    clearTimeout(this.#state.deadline);
    const dial = new AbortController();
    this.#state = { name: 'dialling', dial };
    this.#open += 1;
    // Unless it is being read, nothing tells that a client has gone.
    this.client.read(0);
    void this.#dial(host, port, dial.signal, answers);
  }

  /** Says no, or resets if there is nothing to say. Does nothing once a stream is open. */
  refuse(answer?: Buffer): void {
    if (this.#state.name !== 'asking' && this.#state.name !== 'dialling') return;
    this.#leave();
    if (answer === undefined) {
      this.reset();
      return;
    }
    const deadline = setTimeout(() => this.client.destroy(), FAREWELL_MS);
    this.#state = { name: 'leaving', deadline };
    this.client.end(answer);
    // What lies unread when a socket is closed resets it, and the answer might be lost.
    this.client.resume();
  }

  /** Resets the client, and gives up its dial or stream. */
  reset(): void {
    reset(this.client, this.#settings.isTcp);
  }

  async #dial(host: string, port: number, signal: AbortSignal, answers: Answers): Promise<void> {
    const { dialer, via, timeoutMs, onError } = this.#settings;
    let tunnel: TunnelSocket;
    try {
      tunnel = await dialer.dial(host, port, { node: via, timeoutMs, signal, allowHalfOpen: true });
    } catch (error) {
      if (!signal.aborted) {
        onError(error);
        this.refuse(answers.failed?.(error));
      }
      this.#settle();
      return;
    }
    if (tunnel.closed) {
      this.reset();
      this.#settle();
      return;
    }
    tunnel.once('close', () => this.#settle());
    if (this.#state.name === 'dialling') this.#join(tunnel, answers);
    else tunnel.on('error', () => undefined).destroy();
  }

  #join(tunnel: TunnelSocket, { opened }: Answers): void {
    const { isTcp, onError } = this.#settings;
    this.#state = { name: 'open' };
    tunnel.on('error', onError);
    if (opened !== undefined) this.client.write(opened);
    relay(this.client, tunnel, isTcp);
  }

  /** With nothing sent that has yet to be carried; otherwise the end comes after that. */
  #clientEnded(): void {
    // A half-close before anything was said cannot be told from a client that has gone.
    if (this.#state.name === 'asking' || this.#state.name === 'dialling') this.reset();
  }

  #clientClosed(): void {
    this.#leave();
    this.#settle();
  }

  #leave(): void {
    const state = this.#state;
    this.#state = { name: 'closed' };
    if (state.name === 'asking' || state.name === 'leaving') clearTimeout(state.deadline);
    if (state.name === 'dialling') state.dial.abort();
  }

  #settle(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#settings.onEnded(this);
  }
}
