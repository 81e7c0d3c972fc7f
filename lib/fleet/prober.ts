import type { TunnelSocket } from '../dialer.js';
import { DialTimeoutError } from '../errors.js';
import { Dial, DialAttempt } from '../pool/dial.js';
import type { Node } from './node.js';
import { ask, type CheckedProbe } from './probe.js';

/** What came of the last probe of a node. */
export interface ProbeStatus {
  readonly ok: boolean;
  /** When it was over. */
  readonly at: Date;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** Why it failed. */
  readonly cause?: { readonly code: string; readonly message: string };
}

/** A node that can be probed. */
export interface Probed {
  readonly node: Node;
  /** Whether its tunnel is up. */
  isUp(): boolean;
  /** Opens a stream through the node. */
  dial(attempt: DialAttempt): Promise<TunnelSocket>;
  /** Takes the outcome. */
  note(status: ProbeStatus): void;
}

/** Longest time between the probes of two nodes whose tunnels have come up together, in milliseconds. */
const MAX_GREETING_GAP_MS = 100;

/**
 * Probes the nodes in turn, evenly spread over the interval, each through its own tunnel. A node whose tunnel is down is passed over: that
 * is known already. One whose tunnel has come up is probed soon and out of turn, because its turn may be a whole interval away.
 */
export class Prober {
  readonly #probe: CheckedProbe;
  readonly #underWay = new Map<Probed, AbortController>();
  #nodes: readonly Probed[] = [];
  #next = 0;
  /** Time between two turns; 0 while there is nothing to probe. */
  #beatMs = 0;
  /** Nodes that are probed in one turn: more than one if there are more nodes than milliseconds. */
  #perTurn = 1;
  /** When the last probe had its turn, or the first node came; of `performance.now()`. */
  #turnAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Those whose tunnels have come up, in that order. */
  readonly #greeted = new Set<Probed>();
  #greeting: NodeJS.Timeout | undefined;

  constructor(probe: CheckedProbe) {
    this.#probe = probe;
  }

  /** Makes these the nodes. Probes of others that are under way are given up. */
  update(nodes: readonly Probed[]): void {
    this.#nodes = nodes;
    for (const [probed, stop] of this.#underWay) if (!nodes.includes(probed)) stop.abort();
    for (const probed of this.#greeted) if (!nodes.includes(probed)) this.#greeted.delete(probed);
    if (this.#greeted.size === 0) {
      clearTimeout(this.#greeting);
      this.#greeting = undefined;
    }
    const { intervalMs } = this.#probe;
    this.#perTurn = Math.ceil(nodes.length / intervalMs);
    this.#setBeat(nodes.length === 0 ? 0 : Math.floor((intervalMs * this.#perTurn) / nodes.length));
  }

  /** Has a node probed soon, because its tunnel has come up. */
  greet(probed: Probed): void {
    if (!this.#nodes.includes(probed)) return;
    this.#greeted.add(probed);
    this.#awaitGreeting();
  }

  /** Ends everything. */
  stop(): void {
    this.update([]);
  }

  /** The beat goes on from the last turn: a source may tell more or fewer nodes more often than one of them has its turn. */
  #setBeat(beatMs: number): void {
    if (this.#beatMs === 0) this.#turnAtMs = performance.now();
    this.#beatMs = beatMs;
    this.#awaitTurn();
  }

  #awaitTurn(): void {
    clearTimeout(this.#timer);
    if (this.#beatMs === 0) return;
    const leftMs = Math.max(0, this.#turnAtMs + this.#beatMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#turnAtMs = performance.now();
      for (let times = 0; times < this.#perTurn; times += 1) this.#turn();
      this.#awaitTurn();
    }, leftMs).unref();
  }

  /** One after the other: those that come up together are not probed together. */
  #awaitGreeting(): void {
    const gapMs = Math.min(this.#beatMs, MAX_GREETING_GAP_MS);
    this.#greeting ??= setTimeout(() => {
      this.#greeting = undefined;
      const [next] = this.#greeted;
      if (next === undefined) return;
      this.#greeted.delete(next);
      this.#attend(next);
      if (this.#greeted.size > 0) this.#awaitGreeting();
    }, gapMs).unref();
  }

  #turn(): void {
    this.#next %= this.#nodes.length;
    const probed = this.#nodes[this.#next];
    this.#next += 1;
    if (probed !== undefined) this.#attend(probed);
  }

  #attend(probed: Probed): void {
    if (probed.isUp() && !this.#underWay.has(probed)) void this.#run(probed);
  }

  async #run(probed: Probed): Promise<void> {
    const stop = new AbortController();
    this.#underWay.set(probed, stop);
    const startedAt = performance.now();
    let failure: unknown;
    try {
      await this.#probeOnce(probed, stop);
    } catch (error) {
      failure = error;
    }
    this.#underWay.delete(probed);
    if (!this.#nodes.includes(probed)) return;
    const durationMs = performance.now() - startedAt;
    probed.note({ ok: failure === undefined, at: new Date(), durationMs, ...causeOf(failure) });
  }

  /** One deadline for the dial and the answer. */
  async #probeOnce(probed: Probed, stop: AbortController): Promise<void> {
    const { timeoutMs, port, kind } = this.#probe;
    const { name, address, selfAddress, kubeletPort } = probed.node;
    const host = selfAddress ?? address;
    const endpoint = { host, port: port ?? kubeletPort };
    const startedAt = performance.now();
    using dial = new Dial({
      ...endpoint,
      allowHalfOpen: false,
      purpose: 'probe',
      timeoutMs,
      signal: stop.signal,
    });
    using attempt = new DialAttempt(dial, name, host);
    const stream = await probed.dial(attempt);
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startedAt));
    const late = new DialTimeoutError('open', `no answer to the ${kind} probe within ${timeoutMs} ms`, {
      node: name,
    });
    const timer = setTimeout(() => stop.abort(late), leftMs);
    try {
      await ask(stream, this.#probe, stop.signal);
    } finally {
      clearTimeout(timer);
    }
  }
}

function causeOf(failure: unknown): Pick<ProbeStatus, 'cause'> {
  if (failure === undefined) return {};
  const { code, message } = failure as NodeJS.ErrnoException;
  return { cause: { code: code ?? 'ERR_TUNNEL_PROBE', message } };
}
