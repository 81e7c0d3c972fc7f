import { AbortSource, type AbortableSignal } from '../abortable-signal.js';
import { debug } from '../diagnostics.js';
import type { TunnelError } from '../errors.js';
import { printable } from '../printable.js';
import { AckNudge, delaysSmallAnswers } from './ack-nudge.js';
import { NO_BYTES, type ByteCounts } from './byte-counts.js';
import { ChannelOpening, type OpenRequest } from './channel-opening.js';
import { ChannelRoster } from './channel-roster.js';
import { ChannelTable } from './channel-table.js';
import { Channel, type ChannelOwner, type ChannelPeer } from './channel.js';
import { closedError, lostError, streamError, unopenedError } from './connection-errors.js';
import { asTunnelError, openFailure, type OpenRefusal } from './failures.js';
import { handshake, type Link, type SshTarget } from './handshake.js';
import { Keepalive } from './keepalive.js';
import type { Patience } from './patience.js';
import { isExchangingKeys, takeOverChannels } from './ssh2-internals.js';
import { ChannelSocket } from './channel-socket.js';
import type { Transport } from './transport.js';
import { WriteGate } from './write-gate.js';

/** How long a peer may take to close its end after our SSH_MSG_DISCONNECT. */
const DISCONNECT_GRACE_MS = 1000;

export interface ConnectionOptions extends Pick<SshTarget, 'node'> {
  /** How to reach and log in to the node; asked for when the attempt to connect begins. */
  readonly target: () => SshTarget;
  /** Silence in milliseconds after which the node is asked for a sign of life. */
  readonly keepaliveIntervalMs: number;
  /** Unanswered questions after which the connection is declared dead. */
  readonly keepaliveCountMax: number;
  /** Channels that may be over for us but not yet for the node, beside those in use. */
  readonly maxLingering: number;
  /** Runs the attempt to connect when it may be made; an abort of the signal ends the wait. Default: at once. */
  readonly admit?: <T>(attempt: (patience?: Patience) => Promise<T>, signal: AbortableSignal) => Promise<T>;
  /** Called once when the connection is over; without an error when it was closed on purpose. */
  readonly onClosed: (error: TunnelError | undefined) => void;
}

/**
 *     idle ──connect()──▶ connecting ──▶ ready ──close()──▶ draining
 *                             │            │                   │
 *                             └────────────┴───────────────────┴──▶ closed
 */
type State =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly ready: Promise<void>; readonly abort: AbortSource }
  | {
      readonly name: 'ready' | 'draining';
      readonly link: Link;
      readonly keepalive: Keepalive;
      /** What the channels share. */
      readonly channels: ChannelOwner;
    }
  | { readonly name: 'closed'; readonly error: TunnelError | undefined };

export type ConnectionState = State['name'];

/** One SSH connection to a node and the channels on it. It connects once; a lost connection is replaced by a new object. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #roster: ChannelRoster;
  readonly #table = new ChannelTable();
  #roundTripMs: number | undefined;
  #gone: Promise<unknown> = Promise.resolve();
  /** Once it has become ready. */
  #transport: Transport | undefined;
  #state: State = { name: 'idle' };

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#roster = new ChannelRoster({
      maxLingering: options.maxLingering,
      onChange: () => this.#finishDraining(),
    });
  }

  get state(): ConnectionState {
    return this.#state.name;
  }

  /** Streams that are open. */
  get openChannels(): number {
    return this.#roster.open;
  }

  /** Resolves, once the connection is `closed`, when its socket is closed too. */
  get gone(): Promise<unknown> {
    return this.#gone;
  }

  /** Whether no stream on it would be missed, and none is being opened. */
  get isQuiet(): boolean {
    return this.#roster.isQuiet;
  }

  /** How long the node took to answer the last keepalive, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** What it has carried since it became ready, and in becoming so; the stream counts by itself. */
  get bytes(): ByteCounts {
    const stream = this.#transport?.stream;
    return stream === undefined ? NO_BYTES : { received: stream.bytesRead, sent: stream.bytesWritten };
  }

  /** Why the connection is over; `undefined` while it is not, or when it was closed on purpose. */
  get error(): TunnelError | undefined {
    return this.#state.name === 'closed' ? this.#state.error : undefined;
  }

  /**
   * Connects, once; later calls wait for the same attempt.
   *
   * @throws as {@link handshake} does
   */
  async connect(): Promise<void> {
    const state = this.#state;
    switch (state.name) {
      case 'idle':
        return this.#begin();
      case 'connecting':
        return state.ready;
      case 'ready':
        return;
      case 'draining':
      case 'closed':
        throw this.error ?? closedError(this.#options.node);
    }
  }

  /**
   * Opens a channel (RFC 4254 §7.2). Aborting the signal gives it up; a channel confirmed after that is closed.
   *
   * @throws the signal's reason, or `EndpointError`, `ChannelRefusedError`, `TransportError`
   */
  open(request: OpenRequest, signal: AbortableSignal): Promise<ChannelSocket> {
    const state = this.#state;
    if (state.name !== 'ready' || signal.aborted) {
      request.onFree();
      return Promise.reject(signal.aborted ? (signal.reason as Error) : this.#openError(undefined, request));
    }
    const { channels } = state;
    const owner = {
      roster: this.#roster,
      createSocket: (peer: ChannelPeer, free: () => void) => this.#socket(peer, request, free, channels),
      openError: (refusal?: OpenRefusal) => this.#openError(refusal, request),
    };
    const opening = new ChannelOpening(request.onFree, owner, signal);
    this.#table.open(request.host, request.port, opening, channels);
    return opening.socket;
  }

  /** Asks for a sign of life at once: something on the connection has taken suspiciously long. */
  probeNow(): void {
    if (this.#state.name === 'ready') this.#state.keepalive.probeNow();
  }

  /** Takes no more dials, and disconnects when the last stream is over that is not idle. */
  close(): void {
    const state = this.#state;
    switch (state.name) {
      case 'idle':
      case 'connecting':
        this.#over(undefined, closedError(this.#options.node));
        return;
      case 'ready':
        this.#state = { ...state, name: 'draining' };
        this.#finishDraining();
        return;
      case 'draining':
      case 'closed':
    }
  }

  /** Ends the connection at once; its streams fail with the error. */
  destroy(error: TunnelError): void {
    this.#over(error, error);
  }

  #begin(): Promise<void> {
    const abort = new AbortSource();
    const attempt = (patience?: Patience): Promise<Link> =>
      handshake(this.#options.target(), abort, patience);
    const ready = (this.#options.admit?.(attempt, abort) ?? attempt()).then(
      (link) => this.#ready(link),
      (error: unknown) => {
        const failure = asTunnelError(error, this.#options.node);
        this.#over(failure, failure);
        throw failure;
      },
    );
    // Whether anybody waits for the attempt or not, its failure is reported through onClosed.
    ready.catch(() => undefined);
    this.#state = { name: 'connecting', ready, abort };
    return ready;
  }

  #ready(link: Link): void {
    if (this.#state.name !== 'connecting') {
      link.transport.stream.destroy();
      throw this.error ?? closedError(this.#options.node);
    }
    const { client, transport, software } = link;
    const { stream } = transport;
    this.#transport = transport;
    const { node, keepaliveIntervalMs, keepaliveCountMax } = this.#options;
    const gate = new WriteGate({
      canWrite: () => transport.takesMore && !isExchangingKeys(client),
      whenFlushed: (done) => transport.whenFlushed(done),
      onSent: () => keepalive.sent(transport.accepted),
    });
    const keepalive = new Keepalive({
      intervalMs: keepaliveIntervalMs,
      countMax: keepaliveCountMax,
      probe: () => this.#measure(client),
      mark: () => this.#ask(client, () => undefined),
      whenCarried: transport.whenCarried,
      onDead: () =>
        this.#lose(
          new Error(`nothing was heard from it for ${keepaliveIntervalMs * (keepaliveCountMax + 1)} ms`),
        ),
    });
    const send = (): void => {
      // While keys are exchanged, ssh2 would queue it.
      if (!isExchangingKeys(client)) this.#ask(client);
    };
    const nudge = delaysSmallAnswers(software)
      ? new AckNudge({ bytesWritten: () => transport.accepted, send })
      : undefined;
    // Before ssh2 hands the chunk to users, whose own answer in the same turn makes the nudge needless.
    stream.prependListener('data', (chunk: Buffer) => {
      keepalive.heard();
      // Without a channel it is the answer to a keepalive, and nothing is held back behind it.
      if (!this.#roster.isEmpty) nudge?.received(chunk.length);
    });
    stream.on('drain', () => gate.open());
    client.on('handshake', () => gate.open());
    client.on('error', (error) => this.#lose(error));
    stream.on('end', () => this.#lose(new Error('the node closed the connection')));
    stream.on('close', () => this.#lose(new Error('the connection was closed')));
    const violated = (problem: string): void => this.#lose(new Error(`the node ${problem}`));
    const messages = takeOverChannels(client, this.#table.handlers(violated));
    const whenRead = (done: () => void): void => this.#ask(client, done);
    const channels = { messages, gate, roster: this.#roster, violated, whenRead };
    this.#state = { name: 'ready', link, keepalive, channels };
    this.#measure(client);
    debug.ssh('%s: ready, %s', node, printable(software));
  }

  #measure(client: Link['client']): void {
    const askedAt = performance.now();
    this.#ask(client, () => {
      this.#roundTripMs = performance.now() - askedAt;
    });
  }

  /**
   * Sends a global request that does nothing (`cancel-tcpip-forward` of a forward that does not exist, RFC 4254 §7.1): every sshd takes
   * it, and answers when a callback is given.
   */
  #ask(client: Link['client'], onAnswer?: () => void): void {
    try {
      if (onAnswer === undefined) client.unforwardIn('', 0);
      else client.unforwardIn('', 0, onAnswer);
    } catch {
      // The connection is already going down; its 'close' event says so.
    }
  }

  #socket(peer: ChannelPeer, request: OpenRequest, free: () => void, channels: ChannelOwner): ChannelSocket {
    const place = { node: this.#options.node, host: request.host, port: request.port };
    return new ChannelSocket({
      ...place,
      allowHalfOpen: request.allowHalfOpen,
      channel: (listener) => new Channel(peer, this.#roster.enter(free), channels, listener),
      connectionError: () => (this.#state.name === 'closed' ? streamError(place, this.error) : undefined),
    });
  }

  #lose(reason: Error): void {
    if (this.#state.name === 'closed') return;
    const error = lostError(this.#options.node, reason);
    this.#over(error, error);
  }

  #finishDraining(): void {
    if (this.#state.name !== 'draining' || !this.#roster.isQuiet) return;
    this.#over(undefined, undefined);
  }

  /** The one way into `closed`. */
  #over(error: TunnelError | undefined, abortReason: TunnelError | undefined): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    this.#state = { name: 'closed', error };
    debug.ssh('%s: closed, %s', this.#options.node, error?.message ?? 'on purpose');
    if (state.name === 'connecting') state.abort.abort(abortReason);
    if (state.name === 'ready' || state.name === 'draining') {
      state.keepalive.stop();
      const { stream } = state.link.transport;
      if (!stream.closed) this.#gone = new Promise((resolve) => stream.once('close', resolve));
      if (error === undefined) this.#disconnect(state.link);
      else stream.destroy();
    }
    // In this order, so that the places which the channels free are not given to others.
    this.#options.onClosed(error);
    this.#table.loseAll();
  }

  #disconnect({ client, transport: { stream } }: Link): void {
    client.end();
    const timer = setTimeout(() => stream.destroy(), DISCONNECT_GRACE_MS);
    stream.once('close', () => clearTimeout(timer));
  }

  /** Why a channel was not opened: what the node said, or that the connection is over. */
  #openError(refusal: OpenRefusal | undefined, { host, port }: OpenRequest): TunnelError {
    const place = { node: this.#options.node, host, port };
    if (refusal === undefined) return unopenedError(place, this.error);
    return openFailure(refusal, { ...place, openChannels: this.openChannels });
  }
}
