/** What the roster has to know of a channel. */
export interface Losable {
  /** The connection is gone. */
  lost(): void;
}

export interface ChannelRosterOptions {
  /** Channels that may be over for us but not yet for the node, beside those in use. */
  readonly maxLingering: number;
  /** Called when a channel has become idle or is over. */
  readonly onChange: () => void;
}

/** A channel's entry. */
export interface Place {
  /** Whether anybody would miss the channel; it is busy until told otherwise. */
  setIdle(idle: boolean): void;
  /** We are done with the channel; the node may not be yet. */
  abandoned(): void;
  /** Both sides are done with the channel. */
  closed(channel: Losable): void;
}

/** The channels of one connection: which are in use, which merely open, and which the node still has to let go of. */
export class ChannelRoster {
  readonly #options: ChannelRosterOptions;
  /** Those that the node knows of. */
  readonly #channels = new Set<Losable>();
  #open = 0;
  #idle = 0;
  #opening = 0;
  #lingering = 0;

  constructor(options: ChannelRosterOptions) {
    this.#options = options;
  }

  /** Channels that carry a stream. */
  get open(): number {
    return this.#open;
  }

  /** Whether no stream would be missed, and none is about to be. */
  get isQuiet(): boolean {
    return this.#open === this.#idle && this.#opening === 0;
  }

  /** Notes that a channel is being opened; returns what to call when that is settled. */
  beginOpening(): () => void {
    this.#opening += 1;
    return () => {
      this.#opening -= 1;
      this.#options.onChange();
    };
  }

  /**
   * Notes that we are done with a channel before the node is: closed and not answered, or given up before the node had answered the open.
   * A few may linger beside the channels in use; beyond that a channel keeps its place until the node is done with it, so that what a
   * node has to hold for us stays bounded.
   *
   * @param free - gives the channel's place to the next
   * @returns what to call when the node is done with the channel
   */
  linger(free: () => void): () => void {
    if (this.#lingering >= this.#options.maxLingering) return free;
    this.#lingering += 1;
    free();
    return () => {
      this.#lingering -= 1;
    };
  }

  /**
   * Enters a channel.
   *
   * @param free - called once, when the channel's place may be given to the next
   */
  enter<Channel extends Losable>(free: () => void, create: (place: Place) => Channel): Channel {
    let state: 'busy' | 'idle' | 'over' = 'busy';
    let nodeIsDone = free;
    const leave = (): void => {
      if (state === 'over') return;
      if (state === 'idle') this.#idle -= 1;
      state = 'over';
      this.#open -= 1;
    };
    this.#open += 1;
    const channel = create({
      setIdle: (idle) => {
        if (state === 'over' || idle === (state === 'idle')) return;
        state = idle ? 'idle' : 'busy';
        this.#idle += idle ? 1 : -1;
        this.#options.onChange();
      },
      abandoned: () => {
        leave();
        nodeIsDone = this.linger(free);
        this.#options.onChange();
      },
      closed: (closed) => {
        leave();
        this.#channels.delete(closed);
        nodeIsDone();
        this.#options.onChange();
      },
    });
    this.#channels.add(channel);
    return channel;
  }

  /** The connection is gone. */
  loseAll(): void {
    for (const channel of [...this.#channels]) channel.lost();
  }
}
