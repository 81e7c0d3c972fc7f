import { EventEmitter, setMaxListeners } from 'node:events';
import { debug } from './diagnostics.js';
import type { DialOptions, Dialer, TunnelSocket } from './dialer.js';
import { AllNodesFailedError, ClosedError, InvalidOptionError, NoRouteError } from './errors.js';
import { firstToOpen } from './fleet/first-to-open.js';
import { Fleet } from './fleet/fleet.js';
import type { NodeStatus } from './fleet/node-status.js';
import { listingOf, nodeSourceOf, type NodeListing } from './fleet/node-source.js';
import type { Node, NodeSpec } from './fleet/node.js';
import { Logins } from './logins.js';
import {
  checkTunnelDialerOptions,
  type CheckedOptions,
  type CredentialsUpdate,
  type TunnelDialerOptions,
} from './options.js';
import { Dial, type DialAttempt } from './pool/dial.js';
import { DialReport } from './pool/dial-report.js';
import { HandshakePermits } from './pool/handshake-permits.js';
import { NodePool } from './pool/node-pool.js';
import { Semaphore } from './pool/semaphore.js';
import {
  SourceFollower,
  type LeftOut,
  type SourceFollowerOptions,
  type SourceStatus,
} from './source-follower.js';
import type { ByteCounts } from './ssh/byte-counts.js';
import { hopsBehind, type JumpHost } from './ssh/jump-host.js';
import { unlessAborted } from './unless-aborted.js';
import {
  abortSignal,
  boolean,
  host as checkHost,
  milliseconds,
  nonEmptyString,
  objectOf,
  optional,
  port as checkPort,
  type Check,
} from './validation.js';

/** What a {@link TunnelDialer} emits. */
export interface TunnelDialerEvents {
  /** A node has entered another state. */
  nodeState: [status: NodeStatus];
  /** The source of the nodes has told others, or fails. */
  source: [status: SourceStatus];
  /** `ssh.updates` has told other credentials, or fails. */
  credentials: [status: SourceStatus];
}

/** A dialer at one moment: plain data. */
export interface DialerStatus {
  readonly state: 'open' | 'closing' | 'closed';
  /** Where the nodes come from, unless it is a list. */
  readonly source?: SourceStatus;
  /** Where the credentials come from, if `ssh.updates` or `credentialFiles` says so. */
  readonly credentials?: SourceStatus;
  readonly nodes: readonly NodeStatus[];
  /** What was carried since the dialer was made, also for nodes that are gone. */
  readonly bytes: ByteCounts;
}

const checkDialOptions = objectOf({
  signal: optional(abortSignal),
  timeoutMs: optional(milliseconds(1)),
  node: optional(nonEmptyString),
  allowHalfOpen: optional(boolean),
} satisfies Record<keyof DialOptions, Check<unknown>>);

const checkReadyOptions = objectOf({ signal: optional(abortSignal), every: optional(boolean) });

/**
 * Dials endpoints behind nodes through SSH: keeps connections to every node's sshd, and opens a channel for each dial.
 *
 * Its connections keep the process running until `close()` or `destroy()`.
 *
 * @example
 * ```ts
 * const dialer = new TunnelDialer({
 *   nodes: [{ name: 'node-1', address: '10.0.0.11' }],
 *   ssh: { username: 'tunnel', privateKey: readFileSync('id_ed25519'), hostKeys: knownHosts('known_hosts') },
 * });
 * const socket = await dialer.dial('node-1', 10250);
 * ```
 */
export class TunnelDialer extends EventEmitter<TunnelDialerEvents> implements Dialer {
  readonly #options: CheckedOptions;
  readonly #logins: Logins;
  /** By the number of jump hosts on the way: handshakes that wait for a jump host must not keep it from its own. */
  readonly #handshakes: HandshakePermits[] = [];
  readonly #fleet: Fleet;
  readonly #source: SourceFollower<readonly NodeSpec[] | NodeListing> | undefined;
  readonly #credentials: SourceFollower<CredentialsUpdate> | undefined;
  readonly #dials = new Set<Dial>();
  #state: DialerStatus['state'] = 'open';
  #closing: Promise<void> | undefined;
  readonly #closed = new AbortController();
  /** Aborted when there are no nodes, and never will be. */
  readonly #nodeless = new AbortController();

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` with the path of the wrong option */
  constructor(options: TunnelDialerOptions) {
    super();
    // Each waiting ready() listens to them.
    setMaxListeners(0, this.#closed.signal, this.#nodeless.signal);
    this.#options = checkTunnelDialerOptions(options);
    this.#logins = new Logins(this.#options);
    const { installKey, installKeyIntervalMs: intervalMs } = this.#options.ssh;
    this.#fleet = new Fleet({
      onMiss: this.#options.onMiss,
      createPool: (...args) => this.#createPool(...args),
      onState: (name) => this.#nodeState(name),
      probe: this.#options.health.probe,
      keyInstaller: installKey && { installKey, intervalMs, keyFor: (node) => this.#logins.keyFor(node) },
    });
    const source = nodeSourceOf(options.nodes, 'nodes');
    if (source === undefined) this.#fleet.update(options.nodes as readonly NodeSpec[]);
    else {
      const apply = (update: readonly NodeSpec[] | NodeListing): readonly LeftOut[] => {
        const { nodes, leftOut } = listingOf(update);
        this.#fleet.update(nodes);
        return leftOut;
      };
      this.#source = this.#follow('source', { source, apply });
    }
    const { updates } = this.#options.ssh;
    if (updates !== undefined) {
      const apply = (update: CredentialsUpdate): undefined => {
        this.#relogin(update);
      };
      this.#credentials = this.#follow('credentials', { source: updates, hasFirst: true, apply });
    }
  }

  /**
   * Opens one byte stream to an endpoint: through the node that the host means, that owns its pod network, or any other (`onMiss`).
   *
   * @param host - name or IP address, IPv6 with or without brackets; a name is resolved on the node
   * @param port - 1 to 65535
   * @throws {@link TunnelError} by class and `code`, or the reason of `options.signal`
   */
  async dial(host: string, port: number, options: DialOptions = {}): Promise<TunnelSocket> {
    checkHost(host, 'host');
    checkPort(port, 'port');
    const checked = checkDialOptions(options, 'options');
    const report = DialReport.begin(this, host, port);
    const opening = this.#open(host, port, checked);
    return report === undefined ? opening : report.watch(opening);
  }

  async #open(
    host: string,
    port: number,
    { signal, timeoutMs, node, allowHalfOpen }: DialOptions,
  ): Promise<TunnelSocket> {
    signal?.throwIfAborted();
    if (this.#state !== 'open') throw new ClosedError('the dialer is closed', { host, port });
    const route = this.#fleet.route(host, node);
    const { dialMs, hedgeAfterMs } = this.#options.timeouts;
    const dial = new Dial({
      host,
      port,
      allowHalfOpen: allowHalfOpen ?? false,
      timeoutMs: timeoutMs ?? dialMs,
      signal,
    });
    this.#dials.add(dial);
    try {
      const open = (candidate: Node, attempt: DialAttempt) => this.#fleet.pool(candidate).dial(attempt);
      const socket = await firstToOpen({ route, dial, hedgeAfterMs, open });
      if (debug.dialer.enabled) debug.dialer('%s:%d through %s: open', host, port, socket.node);
      return socket;
    } finally {
      this.#dials.delete(dial);
      dial[Symbol.dispose]();
    }
  }

  /**
   * Makes these the nodes. An unchanged one keeps its connections and streams, a removed one drains, a changed one is replaced.
   *
   * @throws {@link InvalidOptionError} and changes nothing, also when a source tells the nodes; {@link ClosedError}
   */
  update(nodes: readonly NodeSpec[]): void {
    if (this.#state !== 'open') throw new ClosedError('the dialer is closed');
    if (this.#source !== undefined) {
      throw new InvalidOptionError(
        'nodes',
        `cannot be set: ${this.#source.status.name} tells which there are`,
      );
    }
    this.#fleet.update(nodes);
  }

  /**
   * Logs in with these credentials, and knows the nodes by this verifier, from the next connection on. What is left out stays; of
   * `privateKey`, `passphrase` and `agent`, what is given replaces all three. Connections that are up stay, and so do their streams; see
   * `pool.maxConnectionAgeMs`. Nodes that have refused the key, or whose host key was refused, are tried again at once.
   *
   * @throws {@link InvalidOptionError} with a path as in the constructor, such as `ssh.privateKey`, and changes nothing, also when
   *   `ssh.updates` tells the credentials; {@link ClosedError}
   */
  updateCredentials(update: CredentialsUpdate): void {
    if (this.#state !== 'open') throw new ClosedError('the dialer is closed');
    if (this.#credentials !== undefined) {
      throw new InvalidOptionError(
        'ssh',
        `cannot be updated: ${this.#credentials.status.name} tells the credentials`,
      );
    }
    this.#relogin(update);
  }

  /**
   * Resolves when a node is ready, or with `every` when all are.
   *
   * @throws the signal's reason; {@link ClosedError}; and when waiting cannot help: {@link NoRouteError} because there are no nodes and
   *   their source has ended; or, because the only nodes that could become ready refuse our key, which `ssh.installKey` is not about to
   *   put there, or have a host key that we refuse, that error, or {@link AllNodesFailedError} for several nodes
   */
  async ready(
    options: { signal?: AbortSignal | undefined; every?: boolean | undefined } = {},
  ): Promise<void> {
    const { signal, every = false } = checkReadyOptions(options, 'options');
    for (;;) {
      signal?.throwIfAborted();
      this.#closed.signal.throwIfAborted();
      this.#fleet.warm();
      if (this.#isReady(every)) return;
      await unlessAborted(this.#fleet.changed, this.#closed.signal, this.#nodeless.signal, signal);
    }
  }

  /** A snapshot of the dialer and its nodes. */
  status(): DialerStatus {
    const source = this.#source?.status;
    const credentials = this.#credentials?.status;
    return {
      state: this.#state,
      ...(source !== undefined && { source }),
      ...(credentials !== undefined && { credentials }),
      nodes: this.#fleet.statuses(),
      bytes: this.#fleet.bytes,
    };
  }

  /** Takes no more dials, waits for those under way and for open streams up to `timeouts.graceMs`, then destroys. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Errors every stream, rejects every dial and closes every connection at once. */
  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    const reason = new ClosedError('the dialer was destroyed', { cause: error });
    this.#finish(reason);
    for (const dial of this.#dials) dial.abort(reason);
    void this.#fleet.destroy(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closing';
    this.#source?.stop();
    this.#credentials?.stop();
    const timer = setTimeout(
      () => this.destroy(new Error('the grace period is over')),
      this.#options.timeouts.graceMs,
    );
    await this.#fleet.close();
    clearTimeout(timer);
    this.#finish(new ClosedError('the dialer was closed'));
  }

  #finish(reason: ClosedError): void {
    this.#state = 'closed';
    this.#source?.stop();
    this.#credentials?.stop();
    this.#closed.abort(reason);
  }

  #isReady(every: boolean): boolean {
    const { nodes, up, refusals } = this.#fleet.readiness();
    if (every ? up === nodes && nodes > 0 : up > 0) return true;
    const [first] = refusals;
    if (first === undefined || (!every && refusals.length < nodes)) return false;
    throw refusals.length === 1 ? first : new AllNodesFailedError(refusals, 'the nodes refuse us');
  }

  #relogin(update: CredentialsUpdate): void {
    this.#logins.update(update);
    this.#fleet.retarget((node, via) => this.#logins.targetOf(node, via));
  }

  #follow<Update>(
    event: 'source' | 'credentials',
    options: Omit<SourceFollowerOptions<Update>, 'onChange'>,
  ): SourceFollower<Update> {
    const follower = new SourceFollower({
      ...options,
      onChange: () => {
        const { status } = follower;
        if (event === 'source' && status.state === 'ended') this.#noteEndOfSource(status);
        // A listener that throws must not end the following.
        queueMicrotask(() => this.emit(event, status));
      },
    });
    follower.start();
    return follower;
  }

  #noteEndOfSource({ name, failure }: SourceStatus): void {
    if (this.#fleet.readiness().nodes > 0) return;
    const why = failure === undefined ? '' : `: ${failure.message}`;
    this.#nodeless.abort(
      new NoRouteError(`there are no nodes, and ${name} will tell none: it has ended${why}`),
    );
  }

  #nodeState(name: string): void {
    const status = this.#fleet.status(name);
    if (status === undefined) return;
    debug.dialer('%s is %s', name, status.state);
    // A listener must not run inside the connection that reports.
    queueMicrotask(() => this.emit('nodeState', status));
  }

  #createPool(node: Node, via: JumpHost | undefined, onChange: () => void): NodePool {
    const { pool, health, reconnect } = this.#options;
    const hops = hopsBehind(via);
    const handshakes = (this.#handshakes[hops] ??= new HandshakePermits(reconnect.maxHandshakes));
    return new NodePool({
      dialer: this,
      target: this.#logins.targetOf(node, via),
      ...pool,
      ...health,
      reconnect,
      handshakes: [new Semaphore(reconnect.maxHandshakesPerNode), handshakes],
      onChange,
    });
  }
}
