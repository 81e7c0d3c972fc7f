import type { AbortableSignal } from '../abortable-signal.js';
import { TransportError, type TunnelError } from '../errors.js';
import type { ChannelRoster } from './channel-roster.js';
import type { ChannelSocket } from './channel-socket.js';
import type { Opening } from './channel-table.js';
import type { Channel, ChannelPeer } from './channel.js';
import { OpenRefusal } from './failures.js';

/** One dial on a connection. */
export interface OpenRequest {
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  /** Called exactly once, when the channel's place may be given to the next. */
  readonly onFree: () => void;
}

/** What an opening needs from its connection. */
export interface OpeningOwner {
  readonly roster: ChannelRoster;
  /** Puts a stream on a confirmed channel; `free` is called when the node is done with it. */
  readonly createSocket: (peer: ChannelPeer, free: () => void) => ChannelSocket;
  /** Says why the node did not open the channel, or that the connection was lost. */
  readonly openError: (refusal?: OpenRefusal) => TunnelError;
}

/**
 * A channel that is being opened. Aborting the signal gives it up: a channel confirmed after that is closed, and until then the node's
 * answer is waited for beside the channels in use.
 */
export class ChannelOpening implements Opening {
  /** @throws the signal's reason, or what `owner.openError` says */
  readonly socket: Promise<ChannelSocket>;

  readonly #free: () => void;
  readonly #owner: OpeningOwner;
  readonly #signal: AbortableSignal;
  #resolve!: (socket: ChannelSocket) => void;
  #reject!: (error: unknown) => void;
  /** Once the opening was given up. */
  #nodeIsDone: (() => void) | undefined;

  /** @param free - called once, when the channel's place may be given to the next */
  constructor(free: () => void, owner: OpeningOwner, signal: AbortableSignal) {
    this.#free = free;
    this.#owner = owner;
    this.#signal = signal;
    this.socket = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    owner.roster.beginOpening();
    signal.addEventListener('abort', this.#onAbort);
  }

  confirmed(peer: ChannelPeer): Channel {
    const socket = this.#owner.createSocket(peer, this.#nodeIsDone ?? this.#free);
    if (this.#nodeIsDone === undefined) {
      this.#settle();
      this.#hand(socket);
    } else {
      socket.destroy();
    }
    return socket.channel;
  }

  refused(description: string, reason?: number): void {
    this.#failed(new OpenRefusal(description, reason));
  }

  lost(): void {
    this.#failed(undefined);
  }

  readonly #onAbort = (): void => {
    this.#nodeIsDone = this.#owner.roster.linger(this.#free);
    this.#settle();
    this.#reject(this.#signal.reason);
  };

  #failed(refusal: OpenRefusal | undefined): void {
    if (this.#nodeIsDone !== undefined) {
      this.#nodeIsDone();
      return;
    }
    this.#free();
    this.#settle();
    this.#reject(this.#owner.openError(refusal));
  }

  #settle(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#owner.roster.endOpening();
  }

  /**
   * The node may cut the stream in the very packets that confirmed it, before the caller can listen for errors. From the microtask on only
   * others lie between the socket and its caller, and nothing is emitted between them.
   */
  #hand(socket: ChannelSocket): void {
    socket.on('error', ignore);
    queueMicrotask(() => {
      const { errored } = socket;
      if (errored === null) {
        socket.off('error', ignore);
        this.#resolve(socket);
      } else {
        this.#reject(errored instanceof TransportError ? this.#owner.openError() : errored);
      }
    });
  }
}

const ignore = (): void => undefined;
