import { debug } from '../diagnostics.js';
import type { TunnelSocket } from '../dialer.js';
import { AllNodesFailedError, TunnelError, formatEndpoint } from '../errors.js';
import { DialAttempt, type Dial } from '../pool/dial.js';
import { triesNextNode } from './failover.js';
import type { Node } from './node.js';
import type { Candidate, Route } from './router.js';

export interface RaceOptions {
  readonly route: Route;
  readonly dial: Dial;
  /** How long a candidate may take before the next is tried beside it, in milliseconds; not where the caller asked for the node. */
  readonly hedgeAfterMs: number;
  /** Opens a stream through a node. */
  readonly open: (node: Node, attempt: DialAttempt) => Promise<TunnelSocket>;
}

/**
 * Tries the candidates of a route: the next when one has failed, and beside it when it has not opened in time. The first stream that opens
 * is taken, the other attempts are given up.
 *
 * @throws the dial's abort reason; an error that no other node can mend; what the only candidate failed with, or
 *   {@link AllNodesFailedError}
 */
export async function firstToOpen(options: RaceOptions): Promise<TunnelSocket> {
  const { route, dial, open } = options;
  const [only, ...others] = route.candidates;
  if (only === undefined || others.length > 0) return new Race(options).outcome;
  using attempt = new DialAttempt(dial, only.node.name, only.host);
  return await open(only.node, attempt);
}

class Race {
  readonly outcome: Promise<TunnelSocket>;

  readonly #options: RaceOptions;
  readonly #waiting: Candidate[];
  readonly #running = new Set<DialAttempt>();
  /** One for each candidate that has failed, in the order in which they were tried. */
  readonly #failures: (TunnelError | undefined)[] = [];
  #hedge: NodeJS.Timeout | undefined;
  #resolve!: (socket: TunnelSocket) => void;
  #reject!: (error: unknown) => void;
  #isOver = false;

  constructor(options: RaceOptions) {
    this.#options = options;
    this.#waiting = [...options.route.candidates];
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#startNext();
  }

  #startNext(): void {
    clearTimeout(this.#hedge);
    const candidate = this.#waiting.shift();
    if (candidate === undefined) return;
    const { route, dial, hedgeAfterMs } = this.#options;
    const attempt = new DialAttempt(dial, candidate.node.name, candidate.host);
    this.#running.add(attempt);
    if (route.kind !== 'node' && this.#waiting.length > 0)
      this.#hedge = setTimeout(() => this.#startNext(), hedgeAfterMs);
    void this.#run(candidate, attempt);
  }

  async #run(candidate: Candidate, attempt: DialAttempt): Promise<void> {
    const place = this.#failures.push(undefined) - 1;
    try {
      const socket = await this.#options.open(candidate.node, attempt);
      if (this.#isOver) socket.destroy();
      else this.#over(() => this.#resolve(socket), attempt);
    } catch (error) {
      if (!this.#isOver) this.#failed(error, place);
    } finally {
      this.#running.delete(attempt);
      attempt[Symbol.dispose]();
      this.#endIfAllFailed();
    }
  }

  #failed(error: unknown, place: number): void {
    const { route, dial } = this.#options;
    if (dial.signal.aborted || !(error instanceof TunnelError) || !triesNextNode(error, route.kind)) {
      this.#over(() => this.#reject(error));
      return;
    }
    debug.dialer('%s:%d: %s', dial.host, dial.port, error.message);
    this.#failures[place] = error;
    this.#startNext();
  }

  #endIfAllFailed(): void {
    if (this.#isOver || this.#running.size > 0) return;
    const failures = this.#failures.filter((failure) => failure !== undefined);
    const { host, port } = this.#options.dial;
    const problem = `no node could carry a dial to ${formatEndpoint(host, port)}`;
    this.#over(() => this.#reject(new AllNodesFailedError(failures, problem, { host, port })));
  }

  #over(finish: () => void, winner?: DialAttempt): void {
    this.#isOver = true;
    clearTimeout(this.#hedge);
    for (const attempt of this.#running) if (attempt !== winner) attempt.overtake();
    finish();
  }
}
