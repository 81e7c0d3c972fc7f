import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import { watchAnswer, type AnsweredRequest } from './answered-request.js';
import { isWatch, type Capacity } from './capacity.js';
import type { ProxyRequest, ProxyResponse } from './exchange.js';
import { servicesOf } from './handlers.js';
import { NodeBound } from './node-bound.js';
import { checkProxyOptions } from './options.js';
import { splitUrl } from './split-url.js';
import { apiserverParts, type ApiserverParts, type ApiserverPartsOptions } from './parts.js';
import { passThrough, passThroughUpgrade } from './pass-through.js';
import { asStatusError, sendStatus } from './send-status.js';
import { StatusError } from './status-error.js';
import { isGone, isOutOfTurn, turnOf } from './turn-of.js';
import { sendStatusOnSocket } from './upgrade/send-status.js';
import { checkHeadIsWhole } from './whole-head.js';

/** Options of {@link apiserverProxy}. */
export interface ApiserverProxyOptions extends ApiserverPartsOptions {
  /** Called when a request has been answered, for an access log. No part of it is secret. */
  onAnswer?: ((answered: AnsweredRequest) => void) | undefined;
}

/**
 * Limits for the server that a proxy is put on, as kube-apiserver has them: a head may take 1 MiB and must be there within 30 s; the rest
 * of a request may take as long as it does, because it may be an upload, or never end. A client whose machine has gone while it waits for
 * something that never ends is found out by the kernel.
 */
export const SERVER_OPTIONS = Object.freeze({
  maxHeaderSize: 2 ** 20,
  headersTimeout: 30_000,
  requestTimeout: 0,
  keepAliveTimeout: 90_000,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
});

/** A kube-apiserver to its clients: node-bound requests go through tunnels, everything else to the upstream. */
export class ApiserverProxy implements AsyncDisposable {
  readonly #parts: ApiserverParts;
  readonly #nodeBound: NodeBound;
  readonly #onAnswer: ((answered: AnsweredRequest) => void) | undefined;
  #underWay = 0;
  #idle: Promise<void> | undefined;
  /** Called when nothing is under way, once it is closed. */
  #onIdle: (() => void) | undefined;
  #isClosed = false;

  /** Use {@link apiserverProxy}. */
  constructor(parts: ApiserverParts, onAnswer: ApiserverProxyOptions['onAnswer']) {
    this.#parts = parts;
    this.#nodeBound = new NodeBound(parts.access, servicesOf(parts));
    this.#onAnswer = onAnswer;
  }

  /** How many requests are being answered, streams among them. */
  get underWay(): number {
    return this.#underWay;
  }

  /** For the `request` event of a server of `node:http`, `node:https` or `node:http2`. Never throws. */
  readonly request = (request: ProxyRequest, response: ProxyResponse): void => {
    const watch = watchAnswer(request, response, this.#onAnswer);
    const { access, upstream } = this.#parts;
    void this.#track(async () => {
      try {
        await turnOf({ request, response });
        if (isGone({ request, response })) return;
        const route = this.#nodeBound.routeOf(request);
        const kind = route !== undefined || isWatchOf(request) ? 'long-running' : 'short';
        await this.#admit(kind, response, async () => {
          checkHeadIsWhole(request);
          const caller = await access.authenticate(request);
          watch.caller = caller;
          if (route !== undefined) await this.#nodeBound.request({ request, response }, route, caller);
          else await passThrough({ exchange: { request, response }, caller, upstream });
        });
      } catch (error) {
        sendStatus({ request, response }, asStatusError(error));
      }
    });
  };

  /** For the `upgrade` event of a server of `node:http` or `node:https`. Never throws. */
  readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => undefined); // 'close' follows
    const watch = watchAnswer(request, socket, this.#onAnswer);
    if (isOutOfTurn(request)) {
      socket.destroy();
      return;
    }
    const { access, upstream } = this.#parts;
    void this.#track(async () => {
      const upgrade = { request, socket, head };
      try {
        const route = this.#nodeBound.routeOf(request);
        const onAnswer = (status: number): void => void (watch.status = status);
        await this.#admit('long-running', undefined, async () => {
          checkHeadIsWhole(request);
          const caller = await access.authenticate(request);
          watch.caller = caller;
          if (route !== undefined) await this.#nodeBound.upgrade(upgrade, route, caller, onAnswer);
          else await passThroughUpgrade({ upgrade, caller, upstream, onAnswer });
        });
      } catch (error) {
        const refusal = asStatusError(error);
        watch.status = refusal.code;
        sendStatusOnSocket(socket, refusal);
      }
    });
  };

  /**
   * Refuses what comes from now on with 503, and resolves when what is under way has ended. To end it sooner, end its connections: the
   * server's, or the dialer's.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    await (this.#idle ??= new Promise<void>((resolve) => {
      if (this.#underWay === 0) resolve();
      else this.#onIdle = resolve;
    }));
    this.#parts.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #admit(...request: Parameters<Capacity['run']>): Promise<void> {
    if (this.#isClosed) throw new StatusError(503, 'ServiceUnavailable', 'the proxy is shutting down');
    return this.#parts.capacity.run(...request);
  }

  async #track(serve: () => Promise<void>): Promise<void> {
    this.#underWay += 1;
    try {
      await serve();
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onIdle?.();
    }
  }
}

function isWatchOf({ url }: ProxyRequest): boolean {
  const { path, search } = splitUrl(url);
  return isWatch(path, search);
}

/**
 * A kube-apiserver for clients such as kubectl in front of one that cannot reach its nodes. Logs, exec, attach, port-forward and the proxies
 * of nodes, pods and services go through the dialer, everything else to the upstream as it is. It widens nobody's rights: callers are who
 * the upstream says, and each node-bound request is reviewed by it. Dials nothing yet.
 *
 * @example
 * ```ts
 * const proxy = apiserverProxy(dialer, {
 *   upstream: { server: 'https://10.0.0.1:6443', certificateAuthority, tokenFile },
 *   kubelet: { tls: tlsFiles({ caFile, certFile, keyFile }) },
 * });
 * https.createServer({ key, cert, ...SERVER_OPTIONS }, proxy.request).on('upgrade', proxy.upgrade).listen(8443);
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function apiserverProxy(dialer: Dialer, options: ApiserverProxyOptions): ApiserverProxy {
  checkDialer(dialer);
  checkProxyOptions(options);
  const { onAnswer, ...own } = options;
  return new ApiserverProxy(apiserverParts(dialer, own), onAnswer);
}
