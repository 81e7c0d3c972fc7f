import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Refusal } from './answers.js';
import { attach } from './attach.js';
import type { Channels } from './channels.js';
import { Child } from './child.js';
import type { Container } from './container.js';
import { exec, greet, type StreamQuery } from './exec.js';
import type { ProtocolVersion, Settings } from './options.js';
import type { Target } from './paths.js';
import type { Pods } from './pods.js';
import { parsePorts, portForward } from './port-forward.js';
import { isSpdy, SPDY_PROTOCOLS, upgradeToSpdy } from './spdy.js';
import type { WebSocketUpgrade } from './websocket-upgrade.js';

/** How many streams are open. */
export interface OpenStreams {
  execs: number;
  attaches: number;
  /** WebSockets, each of which may forward several ports. */
  portForwards: number;
  logs: number;
}

/** What begins with an upgrade. */
export type Streamed = Extract<Target, { kind: 'exec' | 'attach' | 'portForward' }>;

/** An upgrade request. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly query: URLSearchParams;
}

/** Serves a client until it is gone or everything is said. */
interface Service {
  readonly counter: keyof OpenStreams;
  readonly versions: readonly ProtocolVersion[];
  readonly serve: (channels: Channels) => Promise<void>;
}

/** Exec, attach and port-forward. */
export class Streaming {
  readonly #settings: Settings;
  readonly #pods: Pods;
  readonly #webSockets: WebSocketUpgrade;
  readonly #open: OpenStreams;
  readonly #underWay = new Set<Promise<void>>();

  constructor(settings: Settings, pods: Pods, webSockets: WebSocketUpgrade, open: OpenStreams) {
    this.#settings = settings;
    this.#pods = pods;
    this.#webSockets = webSockets;
    this.#open = open;
  }

  /**
   * Answers a request that is no upgrade.
   *
   * @throws {@link Refusal} always
   */
  refuse(target: Streamed, query: URLSearchParams): never {
    if (target.kind === 'portForward') this.#pods.forStreaming(target);
    else this.#container(target, query);
    throw new Refusal(500, 'Upgrade request required');
  }

  /** @throws {@link Refusal} */
  upgrade(target: Streamed, upgrade: Upgrade): void {
    const { request, socket, head } = upgrade;
    if (isSpdy(request)) this.#relay(target, upgrade);
    else {
      const { counter, versions, serve } = this.#service(target, upgrade.query);
      this.#webSockets.accept(request, socket, head, versions, (channels) => {
        this.#open[counter] += 1;
        const served = serve(channels)
          .catch(() => channels.cut())
          .then(() => {
            this.#open[counter] -= 1;
            this.#underWay.delete(served);
          });
        this.#underWay.add(served);
      });
    }
  }

  /** Cuts off every client. Resolves when nothing is left of them. */
  async close(): Promise<void> {
    this.#webSockets.close();
    await Promise.all(this.#underWay);
  }

  #relay(target: Streamed, { request, socket, head, query }: Upgrade): void {
    if (target.kind === 'portForward') this.#pods.forStreaming(target);
    else this.#container(target, query);
    const { spdy } = this.#settings;
    upgradeToSpdy(request, socket, head, spdy === undefined ? [] : SPDY_PROTOCOLS[target.kind]);
    spdy?.(socket, request);
  }

  #service(target: Streamed, query: URLSearchParams): Service {
    const { protocols } = this.#settings;
    if (target.kind === 'portForward') {
      const ports = parsePorts(query);
      const pod = this.#pods.forStreaming(target);
      const serve = (channels: Channels) => portForward(channels, pod, ports);
      return { counter: 'portForwards', versions: ['v4'], serve };
    }
    const { container, wanted } = this.#container(target, query);
    if (target.kind === 'attach') {
      const serve = async (channels: Channels): Promise<void> => {
        greet(channels, wanted);
        await attach(channels, container, wanted);
      };
      return { counter: 'attaches', versions: protocols, serve };
    }
    const command = query.getAll('command');
    if ((command[0] ?? '') === '') throw new Refusal(400, 'you must specify a command');
    const serve = async (channels: Channels): Promise<void> => {
      greet(channels, wanted);
      await exec(channels, command, () => new Child(command, wanted, { HOSTNAME: target.pod }));
    };
    return { counter: 'execs', versions: protocols, serve };
  }

  /** @throws {@link Refusal} 400, 404, 500 */
  #container(
    target: Extract<Streamed, { container: string }>,
    query: URLSearchParams,
  ): { readonly container: Container; readonly wanted: StreamQuery } {
    const wanted = parseStreamQuery(query);
    const container = this.#pods.forStreaming(target).container(target.container);
    if (container === undefined) throw new Refusal(500, `container not found ("${target.container}")`);
    if (!container.isRunning) throw new Refusal(500, 'container is in CONTAINER_EXITED state');
    return { container, wanted };
  }
}

/** @throws {@link Refusal} 400 */
function parseStreamQuery(query: URLSearchParams): StreamQuery {
  const is = (name: string): boolean => query.get(name) === '1';
  const tty = is('tty');
  const wanted = { stdin: is('input'), stdout: is('output'), stderr: is('error') && !tty, tty };
  if (wanted.stdin || wanted.stdout || wanted.stderr) return wanted;
  throw new Refusal(400, 'you must specify at least 1 of stdin, stdout, stderr');
}
