import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Refusal } from './answers.js';
import { Child } from './child.js';
import { exec, greet, type StreamQuery } from './exec.js';
import type { ProtocolVersion } from './options.js';
import type { Target } from './paths.js';
import type { Container } from './container.js';
import type { Pods } from './pods.js';
import type { WebSocketUpgrade } from './websocket-upgrade.js';

/** What streams now. */
export interface OpenStreams {
  execs: number;
  attaches: number;
  portForwards: number;
  logs: number;
}

type Streamed = Extract<Target, { kind: 'exec' | 'attach' | 'portForward' }>;

/** Exec, attach and port-forward: what begins with an upgrade. */
export class Streaming {
  readonly #pods: Pods;
  readonly #webSockets: WebSocketUpgrade;
  readonly #protocols: readonly ProtocolVersion[];
  readonly #open: OpenStreams;
  readonly #children = new Set<Child>();

  constructor(
    pods: Pods,
    webSockets: WebSocketUpgrade,
    protocols: readonly ProtocolVersion[],
    open: OpenStreams,
  ) {
    this.#pods = pods;
    this.#webSockets = webSockets;
    this.#protocols = protocols;
    this.#open = open;
  }

  /**
   * What can be known to be wrong before an upgrade.
   *
   * @throws {@link Refusal}
   */
  check(target: Streamed, query: URLSearchParams): Container | undefined {
    if (target.kind !== 'portForward') parseStreamQuery(query);
    const pod = this.#pods.forStreaming(target.namespace, target.pod, target.uid);
    if (target.kind === 'portForward') return undefined;
    const container = pod.container(target.container);
    if (container === undefined) throw new Refusal(500, `container not found ("${target.container}")`);
    return container;
  }

  /** @throws {@link Refusal} */
  upgrade(
    target: Streamed,
    query: URLSearchParams,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): void {
    this.check(target, query);
    const wanted = parseStreamQuery(query);
    const command = query.getAll('command');
    this.#webSockets.accept(request, socket, head, this.#protocols, (channels) => {
      const child = new Child(command, wanted, { HOSTNAME: target.pod });
      this.#children.add(child);
      this.#open.execs += 1;
      greet(channels, wanted);
      void exec(channels, child, command).finally(() => {
        this.#children.delete(child);
        this.#open.execs -= 1;
      });
    });
  }

  async close(): Promise<void> {
    this.#webSockets.close();
    for (const child of this.#children) child.kill();
    await Promise.allSettled([...this.#children].map(({ ended }) => ended));
  }
}

/** @throws {@link Refusal} 400 */
function parseStreamQuery(query: URLSearchParams): StreamQuery {
  const is = (name: string): boolean => query.get(name) === '1';
  const tty = is('tty');
  // A terminal has one output only.
  const wanted = { stdin: is('input'), stdout: is('output'), stderr: is('error') && !tty, tty };
  if (wanted.stdin || wanted.stdout || wanted.stderr) return wanted;
  throw new Refusal(400, 'you must specify at least 1 of stdin, stdout, stderr');
}
