import type { AbortableSignal } from '../abortable-signal.js';
import {
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  NodeUnavailableError,
  PoolExhaustedError,
  TransportError,
  isLasting,
  type ErrorContext,
  type TunnelError,
} from '../errors.js';
import type { ByteCounts } from '../ssh/byte-counts.js';
import type { ChannelSocket } from '../ssh/channel-socket.js';
import { asTunnelError } from '../ssh/failures.js';
import type { SshTarget } from '../ssh/handshake.js';
import { unlessAborted } from '../unless-aborted.js';
import { ConnectionSet, type ConnectionSetOptions } from './connection-set.js';
import type { DialAttempt } from './dial.js';
import { LaneQueue } from './lane-queue.js';
import type { Member } from './members.js';
import type { DialCounts, PoolSnapshot } from './pool-snapshot.js';

export interface NodePoolOptions extends Omit<ConnectionSetOptions, 'needsRoom' | 'onRoom'> {
  /** Dials that may wait for a channel. */
  readonly maxQueue: number;
}

/** A channel's place on one of the node's connections: what the pool lends. */
interface Lane {
  readonly member: Member;
}

/** The dials of one node. They share its connections: each borrows a lane, and the lane's connection carries its channel. */
export class NodePool {
  readonly #options: NodePoolOptions;
  readonly #connections: ConnectionSet;
  readonly #lanes: LaneQueue<Lane>;
  /** Aborted when there is no use in connecting without a dial any more. */
  readonly #warming = new AbortController();
  #underWay = 0;
  readonly #dialCounts = { opened: 0, failed: 0 };
  #hasLeft = false;
  #onLastDial: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NodePoolOptions) {
    this.#options = options;
    this.#connections = new ConnectionSet({
      ...options,
      needsRoom: () => this.#lanes.needsRoom,
      onRoom: () => this.#lanes.roomAppeared(),
    });
    this.#lanes = new LaneQueue<Lane>({
      max: options.maxConnections * options.maxChannelsPerConnection,
      maxQueue: options.maxQueue,
      idleTimeoutMs: options.idleTimeoutMs,
      create: () => this.#createLane(),
      validate: ({ member }) => this.#connections.has(member),
      destroy: ({ member }) => this.#laneGone(member),
    });
  }

  /** Makes the connections that are to be kept up. */
  start(): void {
    this.#connections.maintain();
  }

  /** Makes a connection if there is none and no failure is being waited out. */
  warm(): void {
    if (
      this.#closing !== undefined ||
      this.#connections.size > 0 ||
      this.#connections.reconnect.dialWaitMs > 0
    )
      return;
    void this.#warmUp().catch(() => undefined);
  }

  /** Makes further connections in this way, and tries at once again what the node has refused; those that are up stay. */
  retarget(target: SshTarget): void {
    this.#connections.retarget(target);
  }

  /** Does not wait for the next attempt any longer: what carries the connections can do so again. */
  retryNow(): void {
    this.#connections.retryNow();
  }

  /** Tries at once again a node that has refused our key, because it has been given it. */
  keyInstalled(): void {
    this.#connections.keyInstalled();
  }

  /** How busy the node is, in dials and streams; `undefined` while it cannot carry a dial. */
  get load(): number | undefined {
    const { state } = this.snapshot();
    return state === 'connecting' || state === 'down'
      ? undefined
      : this.#lanes.borrowed + this.#lanes.pending;
  }

  /**
   * Opens a stream through the node.
   *
   * @throws the attempt's abort reason, or a {@link TunnelError}
   */
  async dial(attempt: DialAttempt): Promise<ChannelSocket> {
    if (this.#closing !== undefined)
      throw new ClosedError(`${attempt.node} is being closed`, this.#context(attempt));
    this.#underWay += 1;
    try {
      const socket = await this.#openOnLiveConnection(attempt);
      this.#count(attempt, 'opened');
      return socket;
    } catch (error) {
      this.#count(attempt, 'failed');
      throw error;
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) {
        if (attempt.signal.aborted) this.#connections.abandonAttempts();
        this.#onLastDial?.();
      }
    }
  }

  /** The last failure, while it is being waited out. */
  get failure(): TunnelError | undefined {
    return this.#connections.reconnect.failure;
  }

  /** What the node's connections have carried. Not in the snapshot, which every dial takes. */
  get bytes(): ByteCounts {
    return this.#connections.bytes;
  }

  /** What became of the dials of callers. Not in the snapshot, which every dial takes. */
  get dialCounts(): DialCounts {
    return { ...this.#dialCounts };
  }

  snapshot(): PoolSnapshot {
    const { members, draining, reconnect, counts } = this.#connections;
    const connections = { ready: 0, connecting: 0, draining: draining.size };
    let open = 0;
    let roundTripMs: number | undefined;
    for (const { connection } of members) {
      if (connection.state === 'ready') connections.ready += 1;
      else connections.connecting += 1;
      open += connection.openChannels;
      roundTripMs ??= connection.roundTripMs;
    }
    for (const connection of draining) open += connection.openChannels;
    return {
      state: stateOf(connections, reconnect.failure),
      failure: reconnect.failure,
      retryInMs: reconnect.waitMs,
      roundTripMs,
      connections,
      channels: { open, waiting: this.#lanes.pending },
      counts: { ...counts },
    };
  }

  /** Takes no more dials; resolves when those under way are settled, their streams over and the connections closed. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes because the node is none of ours any more: dials that wait for a channel are sent elsewhere. */
  leave(): Promise<void> {
    this.#hasLeft = true;
    this.#lanes.refuseWaiters(this.#removedError());
    return this.close();
  }

  /** Ends dials, streams and connections at once. */
  destroy(error: TunnelError): Promise<void> {
    const closed = this.close();
    this.#connections.destroy(error);
    return closed;
  }

  async #close(): Promise<void> {
    this.#warming.abort();
    this.#connections.beginClosing();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onLastDial = resolve;
      });
    }
    await this.#connections.close();
    await this.#lanes.close();
  }

  /** Takes a lane for as long as its connection is being made: one that stays unused then falls idle, and is closed in time. */
  async #warmUp(): Promise<void> {
    const lane = await this.#lanes.acquire(this.#warming.signal);
    try {
      await lane.member.ready;
    } finally {
      this.#giveBack(lane);
    }
  }

  #count({ dial, signal, timedOut }: DialAttempt, outcome: keyof DialCounts): void {
    // One that was given up, by the caller or because another node was faster, says nothing of this node.
    if (dial.purpose === 'caller' && (!signal.aborted || timedOut)) this.#dialCounts[outcome] += 1;
  }

  async #openOnLiveConnection(attempt: DialAttempt): Promise<ChannelSocket> {
    try {
      return await this.#open(attempt);
    } catch (error) {
      // The connection was found dead before a byte of the caller's was sent: that is no reason to fail, once.
      if (!(error instanceof TransportError) || attempt.signal.aborted) throw error;
      return await this.#open(attempt);
    }
  }

  async #open(attempt: DialAttempt): Promise<ChannelSocket> {
    const lane = await this.#borrow(attempt);
    const { connection } = lane.member;
    const { host, port, allowHalfOpen, signal } = attempt;
    attempt.phase = 'open';
    try {
      const request = { host, port, allowHalfOpen, onFree: () => this.#giveBack(lane) };
      const socket = await connection.open(request, signal);
      lane.member.openTimeouts = 0;
      return socket;
    } catch (error) {
      if (error instanceof EndpointError || error instanceof ChannelRefusedError)
        lane.member.openTimeouts = 0;
      if (attempt.timedOut && attempt.dial.purpose !== 'jump') this.#connections.suspect(lane.member);
      else if (attempt.timedOut || attempt.wasOvertaken) connection.probeNow();
      throw error;
    }
  }

  /** Borrows a lane on a connection that is ready. */
  async #borrow(attempt: DialAttempt): Promise<Lane> {
    for (;;) {
      if (this.#hasLeft) throw this.#removedError();
      this.#refuseWhileBackingOff(attempt);
      attempt.phase = 'queue';
      const lane = await this.#acquire(attempt);
      attempt.phase = 'connect';
      try {
        await this.#whenReady(lane.member, attempt.signal);
        return lane;
      } catch (error) {
        this.#giveBack(lane);
        attempt.signal.throwIfAborted();
        // Another connection may be up, and carry the dial in its turn.
        if (this.#connections.size === 0) throw this.#couldNotConnect(error, attempt);
      }
    }
  }

  async #acquire(attempt: DialAttempt): Promise<Lane> {
    try {
      return await this.#lanes.acquire(attempt.signal);
    } catch (error) {
      if (!(error instanceof PoolExhaustedError)) throw error;
      throw new PoolExhaustedError(
        `${this.#options.target.node}: ${error.message}; raise pool.maxConnections or pool.maxQueue, or close streams sooner`,
        this.#context(attempt),
      );
    }
  }

  async #whenReady(member: Member, signal: AbortableSignal): Promise<void> {
    if (member.connection.state === 'ready') return;
    await unlessAborted(member.ready, signal);
  }

  #createLane(): Lane | undefined {
    const member = this.#connections.withRoom();
    if (member === undefined) return undefined;
    member.lanes += 1;
    return { member };
  }

  #giveBack(lane: Lane): void {
    if (this.#connections.has(lane.member)) this.#lanes.release(lane);
    else this.#lanes.discard(lane);
  }

  #laneGone(member: Member): void {
    member.lanes -= 1;
    this.#connections.releaseUnused(member);
    this.#lanes.roomAppeared();
  }

  #refuseWhileBackingOff(attempt: DialAttempt): void {
    const { size, reconnect } = this.#connections;
    const { failure, dialWaitMs } = reconnect;
    if (size > 0 || dialWaitMs === 0 || failure === undefined) return;
    throw this.#unavailable(failure, attempt);
  }

  #couldNotConnect(error: unknown, attempt: DialAttempt): TunnelError {
    const failure = asTunnelError(error, this.#options.target.node);
    // These tell their story by their own class; any other is told as the node being unavailable.
    const isTelling =
      isLasting(failure) || failure instanceof DialTimeoutError || failure instanceof ClosedError;
    return isTelling ? failure : this.#unavailable(failure, attempt);
  }

  #unavailable(cause: TunnelError, attempt: DialAttempt): NodeUnavailableError {
    const { dialWaitMs } = this.#connections.reconnect;
    return new NodeUnavailableError(
      `${cause.message} (next attempt in ${Math.ceil(dialWaitMs)} ms)`,
      new Date(Date.now() + Math.ceil(dialWaitMs)),
      { ...this.#context(attempt), cause },
    );
  }

  #removedError(): ClosedError {
    const { node } = this.#options.target;
    return new ClosedError(`${node} has been removed`, { node });
  }

  #context({ host, port }: DialAttempt): ErrorContext {
    return { node: this.#options.target.node, host, port };
  }
}

function stateOf(
  connections: PoolSnapshot['connections'],
  failure: TunnelError | undefined,
): PoolSnapshot['state'] {
  if (connections.ready > 0) return failure === undefined ? 'ready' : 'degraded';
  if (failure !== undefined) return 'down';
  return connections.connecting > 0 ? 'connecting' : 'idle';
}
