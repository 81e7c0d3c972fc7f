import { Backoff } from '../backoff.js';
import { debug } from '../diagnostics.js';
import { printable } from '../printable.js';
import { unlessAborted } from '../unless-aborted.js';
import { describeValue } from '../validation.js';
import { sameKey, type InstallKey, type KeyForNode, type KeyInstallStatus } from './install-key.js';
import type { Node } from './node.js';

/** A node, and whom to tell that it has our key. */
export interface KeyReceiver {
  readonly node: Node;
  readonly pool: { keyInstalled(): void };
}

export interface KeyInstallerOptions {
  readonly installKey: InstallKey;
  /** How often the key is installed on each node, in milliseconds. */
  readonly intervalMs: number;
  readonly keyFor: (node: Node) => KeyForNode;
}

const MAX_CALLS = 16;
const CALL_TIMEOUT_MS = 60_000;
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

/** An error may quote all that a program has printed. */
const MAX_MESSAGE_LENGTH = 500;

/** What is to be done for one node, and what has been. */
interface Job {
  readonly receiver: KeyReceiver;
  key: KeyForNode;
  keySince: Date;
  installed: { readonly key: KeyForNode; readonly at: Date } | undefined;
  failure: KeyInstallStatus['failure'];
  backoff: Backoff;
  retry: NodeJS.Timeout | undefined;
}

interface Call {
  readonly job: Job;
  readonly stop: AbortController;
}

/** Keeps our public key installed on every node: at once where it is not, and again in turn, evenly spread over the interval. */
export class KeyInstaller {
  readonly #options: KeyInstallerOptions;
  readonly #fresh: Backoff;
  #receivers: readonly KeyReceiver[] = [];
  #jobs = new Map<KeyReceiver, Job>();
  /** Those that wait for a call, in the order in which they get one. */
  readonly #queue = new Set<Job>();
  /** Calls that have not settled, by the name of the node. */
  readonly #calls = new Map<string, Call>();
  /** Calls that we wait for. */
  #underWay = 0;
  #next = 0;
  #beatMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: KeyInstallerOptions) {
    this.#options = options;
    this.#fresh = Backoff.create({
      minMs: MIN_RETRY_MS,
      maxMs: Math.min(MAX_RETRY_MS, options.intervalMs),
    });
  }

  /** Makes these the nodes: those that are new get the key at once, calls for those that are gone are given up. */
  update(receivers: readonly KeyReceiver[]): void {
    if (this.#isStopped) return;
    const before = this.#jobs;
    this.#receivers = receivers;
    this.#jobs = new Map(
      receivers.map((receiver) => [receiver, before.get(receiver) ?? this.#add(receiver)]),
    );
    for (const job of before.values()) if (!this.#isWanted(job)) this.#giveUp(job, 'the node was removed');
    this.#setBeat();
    this.#callNext();
  }

  /** Installs at once whatever has become another key, or is for another user. */
  renew(): void {
    if (this.#isStopped) return;
    for (const job of this.#jobs.values()) {
      const key = this.#options.keyFor(job.receiver.node);
      if (sameKey(key, job.key)) continue;
      this.#giveUp(job, 'the key has become another');
      Object.assign(job, { key, keySince: new Date(), failure: undefined, backoff: this.#fresh });
      this.#queue.add(job);
    }
    this.#callNext();
  }

  /** Whether the key in use has not been installed yet. */
  isToBeInstalled(receiver: KeyReceiver): boolean {
    const job = this.#jobs.get(receiver);
    return job !== undefined && job.installed?.key !== job.key;
  }

  statusOf(receiver: KeyReceiver): KeyInstallStatus | undefined {
    const job = this.#jobs.get(receiver);
    if (job === undefined) return undefined;
    const { key, keySince, installed, failure } = job;
    const isInstalled = installed?.key === key;
    return {
      state: failure !== undefined ? 'failing' : isInstalled ? 'installed' : 'pending',
      fingerprint: key.fingerprint,
      lagSince: isInstalled ? installed.at : keySince,
      ...(installed && { installed: { fingerprint: installed.key.fingerprint, at: installed.at } }),
      ...(failure && { failure }),
    };
  }

  /** Ends everything. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const job of this.#jobs.values()) this.#giveUp(job, 'the dialer was closed');
  }

  #isWanted(job: Job): boolean {
    return !this.#isStopped && this.#jobs.get(job.receiver) === job;
  }

  #add(receiver: KeyReceiver): Job {
    const job: Job = {
      receiver,
      key: this.#options.keyFor(receiver.node),
      keySince: new Date(),
      installed: undefined,
      failure: undefined,
      backoff: this.#fresh,
      retry: undefined,
    };
    this.#queue.add(job);
    return job;
  }

  #giveUp(job: Job, why: string): void {
    clearTimeout(job.retry);
    job.retry = undefined;
    this.#queue.delete(job);
    this.#callOf(job)?.stop.abort(new DOMException(why, 'AbortError'));
  }

  #callOf(job: Job): Call | undefined {
    const call = this.#calls.get(job.receiver.node.name);
    return call?.job === job ? call : undefined;
  }

  /** A turn that is waited for is waited for no longer than it would be from now on: nodes that come and go must not put it off. */
  #setBeat(): void {
    const { size } = this.#jobs;
    const beatMs = size === 0 ? Infinity : Math.max(1, Math.floor(this.#options.intervalMs / size));
    if (beatMs < this.#beatMs || size === 0) clearTimeout(this.#timer);
    if (beatMs < this.#beatMs) this.#timer = setTimeout(() => this.#turn(), beatMs).unref();
    this.#beatMs = beatMs;
  }

  #turn(): void {
    this.#next %= this.#receivers.length;
    const receiver = this.#receivers[this.#next];
    const job = receiver && this.#jobs.get(receiver);
    this.#next += 1;
    // One that failed is called for when its wait is over.
    if (job !== undefined && job.retry === undefined && this.#callOf(job) === undefined) this.#queue.add(job);
    this.#timer = setTimeout(() => this.#turn(), this.#beatMs).unref();
    this.#callNext();
  }

  #callNext(): void {
    for (const job of this.#queue) {
      if (this.#underWay >= MAX_CALLS) return;
      if (this.#calls.has(job.receiver.node.name)) continue;
      this.#queue.delete(job);
      void this.#call(job);
    }
  }

  async #call(job: Job): Promise<void> {
    const { key, receiver } = job;
    const { name } = receiver.node;
    const stop = new AbortController();
    this.#calls.set(name, { job, stop });
    this.#underWay += 1;
    const late = `installKey did not settle within ${CALL_TIMEOUT_MS} ms; the node gets no other call before it has`;
    const timer = setTimeout(
      () => stop.abort(new DOMException(late, 'TimeoutError')),
      CALL_TIMEOUT_MS,
    ).unref();
    const settled = this.#install(job, stop.signal);
    const over = (): void => {
      this.#calls.delete(name);
      this.#callNext();
    };
    void settled.then(over, over);
    try {
      await unlessAborted(settled, stop.signal);
      if (this.#isWanted(job) && job.key === key) this.#succeeded(job);
    } catch (error) {
      if (this.#isWanted(job) && job.key === key) this.#failed(job, error);
    }
    clearTimeout(timer);
    this.#underWay -= 1;
    this.#callNext();
  }

  async #install({ key, receiver }: Job, signal: AbortSignal): Promise<void> {
    // Not within the dialer's constructor, nor within whatever else has brought this about.
    await Promise.resolve();
    signal.throwIfAborted();
    const { name, address, port } = receiver.node;
    const { publicKey, username } = key;
    await this.#options.installKey(Object.freeze({ name, address, port, username }), publicKey, { signal });
  }

  #succeeded(job: Job): void {
    const { key, receiver } = job;
    debug.dialer('%s: key %s is installed', receiver.node.name, key.fingerprint);
    Object.assign(job, { installed: { key, at: new Date() }, failure: undefined, backoff: this.#fresh });
    receiver.pool.keyInstalled();
  }

  #failed(job: Job, error: unknown): void {
    const message = messageOf(error);
    job.failure = { message, since: job.failure?.since ?? new Date() };
    job.backoff = job.backoff.next();
    const { delayMs } = job.backoff;
    const { name } = job.receiver.node;
    debug.dialer('%s: key %s cannot be installed; again in %d ms', name, job.key.fingerprint, delayMs);
    job.retry = setTimeout(() => {
      job.retry = undefined;
      this.#queue.add(job);
      this.#callNext();
    }, delayMs).unref();
  }
}

function messageOf(error: unknown): string {
  const text = textOf(error) || `failed with ${describeValue(error)}`;
  // Cut before, too: there may be megabytes of it.
  return printable(text.slice(0, 2 * MAX_MESSAGE_LENGTH), MAX_MESSAGE_LENGTH);
}

/** What is thrown may be anything, and its message a getter that throws. */
function textOf(error: unknown): string {
  try {
    const { message } = (error ?? {}) as { readonly message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}
