import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { SpdySession, type SpdySessionOptions } from '../../spdy/session.js';
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
import { SpdyChannels } from './spdy-channels.js';
import { SpdyPortForward } from './spdy-port-forward.js';
import type { WebSocketUpgrade } from './websocket-upgrade.js';

/** How many streams are open. */
export interface OpenStreams {
  execs: number;
  attaches: number;
  /** Clients, each of which may forward several ports. */
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

/** How long a client of SPDY may take to open its streams (k8s.io/kubelet, pkg/cri/streaming/remotecommand). */
const STREAMS_TIMEOUT_MS = 30_000;
/** A client that forwards a port has two for every connection to it. */
const MAX_STREAMS = 1024;

/** Serves a client until it is gone or everything is said. */
interface Service {
  readonly counter: keyof OpenStreams;
  readonly versions: readonly ProtocolVersion[];
  readonly serve: (channels: Channels) => Promise<void>;
}

/** Execs or attaches. */
interface Command {
  readonly counter: 'execs' | 'attaches';
  readonly wanted: StreamQuery;
  readonly run: (channels: Channels) => Promise<void>;
}

/** Exec, attach and port-forward. */
export class Streaming {
  readonly #settings: Settings;
  readonly #pods: Pods;
  readonly #webSockets: WebSocketUpgrade;
  readonly #open: OpenStreams;
  readonly #underWay = new Set<Promise<void>>();
  readonly #sessions = new Set<SpdySession>();

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
    if (isSpdy(request)) this.#spdy(target, upgrade);
    else {
      const { counter, versions, serve } = this.#service(target, upgrade.query);
      this.#webSockets.accept(request, socket, head, versions, (channels) => {
        this.#track(
          counter,
          serve(channels).catch(() => channels.cut()),
        );
      });
    }
  }

  /** Cuts off every client. Resolves when nothing is left of them. */
  async close(): Promise<void> {
    this.#webSockets.close();
    for (const session of this.#sessions) session.destroy();
    await Promise.all(this.#underWay);
  }

  #track(counter: keyof OpenStreams, served: Promise<void>): void {
    this.#open[counter] += 1;
    const over = served.then(() => {
      this.#open[counter] -= 1;
      this.#underWay.delete(over);
    });
    this.#underWay.add(over);
  }

  #spdy(target: Streamed, { request, socket, head, query }: Upgrade): void {
    const { spdy } = this.#settings;
    const serve = this.#spdyService(target, query);
    const protocol = upgradeToSpdy(request, socket, head, SPDY_PROTOCOLS[target.kind]);
    if (spdy === undefined) serve(socket, protocol);
    else spdy(socket, request);
  }

  #spdyService(target: Streamed, query: URLSearchParams): (socket: Socket, protocol: string) => void {
    if (target.kind === 'portForward') {
      const forward = new SpdyPortForward(this.#pods.forStreaming(target));
      return (socket) => {
        const session = this.#session(socket, (headers) => forward.judge(headers));
        this.#track('portForwards', forward.serve(session));
      };
    }
    const { counter, wanted, run } = this.#command(target, query);
    return (socket, protocol) => {
      const channels = new SpdyChannels((accept) => this.#session(socket, accept), wanted, protocol);
      const served = channels
        .complete(STREAMS_TIMEOUT_MS)
        .then((isComplete) => (isComplete ? run(channels) : undefined));
      this.#track(
        counter,
        served.catch(() => channels.cut()),
      );
    };
  }

  #session(socket: Socket, accept: SpdySessionOptions['accept']): SpdySession {
    const session = new SpdySession(socket, { side: 'server', accept, maxStreams: MAX_STREAMS });
    this.#sessions.add(session);
    void session.closed.then(() => this.#sessions.delete(session));
    return session;
  }

  #service(target: Streamed, query: URLSearchParams): Service {
    const { protocols } = this.#settings;
    if (target.kind === 'portForward') {
      const ports = parsePorts(query);
      const pod = this.#pods.forStreaming(target);
      const serve = (channels: Channels) => portForward(channels, pod, ports);
      return { counter: 'portForwards', versions: ['v4'], serve };
    }
    const { counter, wanted, run } = this.#command(target, query);
    const serve = async (channels: Channels): Promise<void> => {
      greet(channels, wanted);
      await run(channels);
    };
    return { counter, versions: ['v1', ...protocols], serve };
  }

  /** @throws {@link Refusal} 400, 404, 500 */
  #command(target: Extract<Streamed, { container: string }>, query: URLSearchParams): Command {
    const { container, wanted } = this.#container(target, query);
    if (target.kind === 'attach') {
      return { counter: 'attaches', wanted, run: (channels) => attach(channels, container, wanted) };
    }
    const command = query.getAll('command');
    if ((command[0] ?? '') === '') throw new Refusal(400, 'you must specify a command');
    const start = () => new Child(command, wanted, { HOSTNAME: target.pod });
    return { counter: 'execs', wanted, run: (channels) => exec(channels, command, start) };
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
