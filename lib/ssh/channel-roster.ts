/** A channel's entry. It is `over` when one side is done with it. */
export interface Place {
  state: 'busy' | 'idle' | 'over';
  /** To be called when the node is done with the channel. */
  nodeIsDone: () => void;
}

export interface ChannelRosterOptions {
  /** Channels that may be over for us but not yet for the node, beside those in use. */
  readonly maxLingering: number;
  /** Called when a channel has become idle or is over. */
  readonly onChange: () => void;
}

/** Counts the channels of one connection: which are in use, which merely open, and which the node still has to let go of. */
export class ChannelRoster {
  readonly #options: ChannelRosterOptions;
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

  /** Whether there is no stream, and none is being opened. */
  get isEmpty(): boolean {
    return this.#open === 0 && this.#opening === 0;
  }

  /** Notes that a channel is being opened. */
  beginOpening(): void {
    this.#opening += 1;
  }

  /** Notes that an opening is settled. */
  endOpening(): void {
    this.#opening -= 1;
    this.#options.onChange();
  }

  /**
   * Enters a channel, which is busy until told otherwise.
   *
   * @param free - called once, when the channel's place may be given to the next
   */
  enter(free: () => void): Place {
    this.#open += 1;
    return { state: 'busy', nodeIsDone: free };
  }

  /** Notes whether anybody would miss the channel. */
  setIdle(place: Place, idle: boolean): void {
    if (place.state === 'over' || idle === (place.state === 'idle')) return;
    place.state = idle ? 'idle' : 'busy';
    this.#idle += idle ? 1 : -1;
    this.#options.onChange();
  }

  /** Notes that we are done with a channel; the node may not be yet. */
  abandoned(place: Place): void {
    this.#leave(place);
    place.nodeIsDone = this.linger(place.nodeIsDone);
    this.#options.onChange();
  }

  /** Notes that both sides are done with a channel. */
  closed(place: Place): void {
    this.#leave(place);
    place.nodeIsDone();
    this.#options.onChange();
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
    return this.#lingered;
  }

  readonly #lingered = (): void => {
    this.#lingering -= 1;
  };

  #leave(place: Place): void {
    if (place.state === 'over') return;
    if (place.state === 'idle') this.#idle -= 1;
    place.state = 'over';
    this.#open -= 1;
  }
}
