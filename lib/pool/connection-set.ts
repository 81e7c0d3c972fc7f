import { debug } from '../diagnostics.js';
import type { Dialer } from '../dialer.js';
import { AuthenticationError, DialTimeoutError, isLasting, type TunnelError } from '../errors.js';
import { addBytes, type ByteCounts } from '../ssh/byte-counts.js';
import { Connection } from '../ssh/connection.js';
import type { SshTarget } from '../ssh/handshake.js';
import { Admission } from './admission.js';
import { Ageing } from './ageing.js';
import { ConnectionReport } from './connection-report.js';
import { Departures } from './departures.js';
import type { HandshakeBound, Standing } from './handshake-permits.js';
import { Members, type Member } from './members.js';
import { Reconnect, type ReconnectOptions } from './reconnect.js';

export interface ConnectionSetOptions {
  /** How to reach and log in to the node, until `retarget` says otherwise. */
  readonly target: SshTarget;
  /** Whose connections they are, for those who listen on `node:diagnostics_channel`; without one nothing is told there. */
  readonly dialer?: Dialer;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveCountMax: number;
  /** Connections that are kept up without need. */
  readonly minConnections: number;
  /** Connections that take dials; as many others may drain. */
  readonly maxConnections: number;
  readonly maxChannelsPerConnection: number;
  /** How long a channel's place, and with its last one a connection above `minConnections`, is kept without use, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Age in milliseconds, give or take a tenth, at which a connection is replaced. Default: none. */
  readonly maxConnectionAgeMs?: number | undefined;
  readonly reconnect: ReconnectOptions;
  /** Bounds on handshakes under way, taken in this order: the node's own, then the one of all nodes. */
  readonly handshakes: readonly HandshakeBound[];
  /** Whether more channels are wanted than there is room for. */
  readonly needsRoom: () => boolean;
  /** Called when there may be room for more channels. */
  readonly onRoom: () => void;
  /** Called when a connection is begun, has become ready or is over, or an attempt has failed. */
  readonly onChange: () => void;
}

/** Unanswered dials in a row after which a connection is replaced, though it answers keepalives: each holds a channel on it. */
const MAX_OPEN_TIMEOUTS = 16;

/**
 * A connection that nobody used and that has lived this long may end without being a failure: sshd's `UnusedConnectionTimeout` ends it
 * like that.
 */
const UNUSED_MS = 500;

/** `open` keeps connections up; `closing` makes them only on demand; `closed` is the end. */
type Phase = 'open' | 'closing' | 'closed';

/** The connections of one node: made on demand and kept up, within bounds, with back-off. */
export class ConnectionSet {
  readonly reconnect: Reconnect;
  /** Since the set was made: connections that became ready, attempts that failed, connections that were lost. */
  readonly counts = { connected: 0, failed: 0, lost: 0 };

  readonly #options: ConnectionSetOptions;
  #target: SshTarget;
  readonly #members = new Members();
  readonly #departures = new Departures();
  readonly #ageing: Ageing;
  /** Whether a connection was lost, or an attempt failed, since one became ready. */
  #hasBroken = false;
  #phase: Phase = 'open';
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionSetOptions) {
    this.#options = options;
    this.#target = options.target;
    this.reconnect = new Reconnect(options.reconnect);
    this.#ageing = new Ageing({
      members: this.#members,
      maxAgeMs: options.maxConnectionAgeMs,
      maxDraining: options.maxConnections,
      draining: this.draining,
      idleTimeoutMs: options.idleTimeoutMs,
      onDue: (member) => this.#grownOld(member),
      onReplaced: (member) => {
        debug.pool('%s: closing a connection that has been replaced because of its age', this.#target.node);
        this.#drain(member);
      },
      releaseUnused: (member) => this.releaseUnused(member),
    });
  }

  get size(): number {
    return this.#members.size;
  }

  get members(): Iterable<Member> {
    return this.#members;
  }

  /** Connections that take no more dials but still carry streams. */
  get draining(): ReadonlySet<Connection> {
    return this.#departures.draining;
  }

  /** Carried since the set was made, by connections that became ready. */
  get bytes(): ByteCounts {
    let { bytes } = this.#departures;
    for (const { connection } of this.#members) bytes = addBytes(bytes, connection.bytes);
    return bytes;
  }

  has(member: Member): boolean {
    return this.#members.has(member);
  }

  /** A connection for one more lane: a ready one that has room, else one that is being made, else a new one if it may be made now. */
  withRoom(): Member | undefined {
    const member = this.#members.withRoom(this.#options.maxChannelsPerConnection);
    return member ?? (this.#mayAdd() && this.reconnect.dialWaitMs === 0 ? this.#add() : undefined);
  }

  /** Makes the connections that are wanted and may be made; comes back by itself when a back-off is in the way. */
  maintain(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#options.onRoom();
    while (this.#mayAdd() && this.#wantsMore()) {
      const { waitMs } = this.reconnect;
      if (waitMs > 0) {
        this.#retryTimer = setTimeout(() => this.maintain(), Math.ceil(waitMs));
        return;
      }
      this.#add();
    }
  }

  /**
   * Makes further connections in this way; those that are up stay. A key or host key that was refused is no reason to wait any more, nor is
   * one that an attempt under way has refused yet.
   */
  retarget(target: SshTarget): void {
    this.#target = target;
    this.reconnect.mended();
    this.maintain();
    this.#options.onChange();
  }

  /** Does not wait for the next attempt any longer: what is before the node is well again. */
  retryNow(): void {
    const { failure } = this.reconnect;
    // What the node itself has refused it would refuse again.
    if (failure !== undefined && isLasting(failure) && failure.node === this.#target.node) return;
    this.reconnect.retryNow();
    this.maintain();
  }

  /** The node has our key now. That it has refused it is no reason to wait any more, nor is it when an attempt under way hears of it only now. */
  keyInstalled(): void {
    // Another object: what has been begun so far was begun before the key was there.
    this.#target = { ...this.#target };
    if (!(this.reconnect.failure instanceof AuthenticationError)) return;
    this.reconnect.mended();
    this.maintain();
    this.#options.onChange();
  }

  /** Closes a connection that nobody uses, unless it is one of those to be kept up. */
  releaseUnused(member: Member): void {
    if (member.lanes > 0 || !this.#members.has(member)) return;
    // One that has grown old ends when its successor is ready.
    if (this.#members.isOld(member) || this.#members.fresh <= this.#options.minConnections) return;
    debug.pool('%s: closing a connection that is not needed', this.#target.node);
    this.#drain(member);
  }

  /** Notes that a dial was not answered in time: the endpoint's fault, the node's, or that of the network between us. */
  suspect(member: Member): void {
    member.openTimeouts += 1;
    if (member.openTimeouts < MAX_OPEN_TIMEOUTS || !this.#ageing.mayLeave(member))
      member.connection.probeNow();
    else if (this.#members.has(member)) this.#replace(member);
  }

  /** Gives up the attempts to connect that nobody waits for any more, unless for connections to be kept up. */
  abandonAttempts(): void {
    for (const member of [...this.#members]) {
      if (this.#members.fresh <= Math.max(this.#options.minConnections, this.#members.old)) return;
      if (member.readyAtMs === undefined) this.#drain(member);
    }
  }

  /** Keeps nothing up any more, but still makes connections on demand. */
  beginClosing(): void {
    if (this.#phase === 'open') this.#phase = 'closing';
  }

  /** Makes no more connections; resolves when those there are have lost their last stream, and their sockets are closed. */
  async close(): Promise<void> {
    this.#phase = 'closed';
    clearTimeout(this.#retryTimer);
    for (const member of [...this.#members]) this.#drain(member);
    await this.#departures.finished();
  }

  /** Ends every connection at once and makes no more. */
  destroy(error: TunnelError): void {
    this.#phase = 'closed';
    clearTimeout(this.#retryTimer);
    for (const { connection } of [...this.#members]) connection.destroy(error);
    for (const connection of [...this.draining]) connection.destroy(error);
  }

  #mayAdd(): boolean {
    return this.#phase !== 'closed' && this.#members.fresh < this.#options.maxConnections;
  }

  #wantsMore(): boolean {
    if (this.#options.needsRoom()) return true;
    if (this.#phase !== 'open') return false;
    return this.#members.fresh < this.#options.minConnections || this.#members.lackSuccessors;
  }

  #add(): Member {
    const { dialer, handshakes, keepaliveIntervalMs, keepaliveCountMax, maxChannelsPerConnection } =
      this.#options;
    let target = this.#target;
    const report = new ConnectionReport(dialer, target);
    const admission = new Admission(handshakes);
    const connection = new Connection({
      node: target.node,
      target: () => (target = this.#target),
      keepaliveIntervalMs,
      keepaliveCountMax,
      maxLingering: maxChannelsPerConnection,
      admit: async (attempt, signal) => {
        const patience = await admission.enter(signal, this.#standing);
        report.began();
        return attempt(patience);
      },
      onClosed: (error) => this.#closed(member, error, target !== this.#target),
    });
    const member: Member = {
      connection,
      report,
      admission,
      ready: connection.connect(),
      lanes: 0,
      readyAtMs: undefined,
      openTimeouts: 0,
      timers: [],
    };
    this.#members.add(member);
    member.ready.then(
      () => this.#ready(member),
      // Reported through onClosed, and to the dials that wait for it.
      () => undefined,
    );
    this.#options.onChange();
    return member;
  }

  get #standing(): Standing {
    if (this.reconnect.failure instanceof DialTimeoutError) return 'silent';
    return this.counts.connected > 0 ? 'proven' : 'unknown';
  }

  #ready(member: Member): void {
    if (!this.#members.has(member)) return;
    member.readyAtMs = performance.now();
    member.report.ready(this.#hasBroken);
    this.#hasBroken = false;
    member.admission.leave();
    this.counts.connected += 1;
    this.reconnect.connected();
    this.#ageing.ready(member);
    this.maintain();
    this.#options.onChange();
  }

  #grownOld(member: Member): void {
    if (this.#phase !== 'open') return;
    // One that nobody uses needs no successor.
    this.releaseUnused(member);
    this.#ageing.grow(member);
    this.maintain();
  }

  /** `isOutdated`: it was not made in the way in which connections are made now. */
  #closed(member: Member, error: TunnelError | undefined, isOutdated: boolean): void {
    this.#members.delete(member);
    this.#departures.over(member.connection);
    member.report.over(error, member.connection.bytes);
    // Not sooner: those who count by the reports must never see more handshakes under way than there are permits.
    member.admission.leave();
    if (error !== undefined && this.#phase !== 'closed') {
      this.#hasBroken = true;
      if (isOutdated && isLasting(error)) this.#tryAnew(member);
      else this.#count(member, error);
    }
    for (const postponed of this.#members.takePostponed()) this.#grownOld(postponed);
    this.maintain();
    this.#options.onChange();
  }

  /** What the node refused is replaced already. Who waits for the connection gets one that is made in the new way. */
  #tryAnew({ lanes }: Member): void {
    this.counts.failed += 1;
    if (lanes > 0 && this.#mayAdd() && this.reconnect.dialWaitMs === 0) this.#add();
  }

  #count(member: Member, error: TunnelError): void {
    if (member.readyAtMs === undefined) {
      this.counts.failed += 1;
      this.reconnect.failed(error);
    } else {
      this.counts.lost += 1;
      const wasUnused = member.connection.isQuiet && performance.now() - member.readyAtMs >= UNUSED_MS;
      if (!wasUnused) this.reconnect.lost(error, member.readyAtMs);
    }
    debug.pool('%s: %s; next attempt in %d ms', this.#target.node, error.message, this.reconnect.waitMs);
  }

  #replace(member: Member): void {
    debug.pool('%s: replacing a connection that answers no dials', this.#target.node);
    this.#drain(member);
    this.maintain();
  }

  #drain(member: Member): void {
    this.#members.delete(member);
    this.#departures.drain(member.connection);
  }
}
