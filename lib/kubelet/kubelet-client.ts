import type { Readable } from 'node:stream';
import type { Dialer, TunnelSocket } from '../dialer.js';
import { ClosedError, InvalidOptionError } from '../errors.js';
import { retire } from '../http/agent-sockets.js';
import { abortSignal, describeValue, objectOf, optional, type Check } from '../validation.js';
import type { KubeletClientOptions } from './client-options.js';
import { KubeletAnswerError } from './errors.js';
import { accessFrom, type KubeletAccess } from './kubelet-access.js';
import { checkLogOptions, type LogOptions } from './log-options.js';
import { LogStream } from './log-stream.js';
import { askForText, MAX_JSON_LENGTH, MAX_TEXT_LENGTH } from './request.js';
import { openAttach, openExec } from './streaming/exec.js';
import type { AttachOptions, ExecOptions, PortForwardOptions } from './streaming/options.js';
import { openPortForward } from './streaming/port-forward.js';
import type { RemoteProcess } from './streaming/remote-process.js';

/** What every call for a whole answer takes. */
export interface CallOptions {
  /** Gives the call up: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** An object of JSON, whose fields are those of the kubelet's version. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The pods of a node, as its kubelet knows them (core/v1, PodList). */
export interface PodList extends JsonObject {
  readonly items: readonly KubeletPod[];
}

/** A Pod (core/v1). */
export interface KubeletPod extends JsonObject {
  readonly metadata: JsonObject & { readonly name: string; readonly namespace: string; readonly uid: string };
}

const checkCall = objectOf({
  signal: optional(abortSignal),
} satisfies Record<keyof CallOptions, Check<unknown>>);

const metricsPath: Check<string> = (value, path) => {
  if (value === undefined) return '/metrics';
  if (typeof value === 'string' && /^\/metrics(\/[\w-]+)*$/.test(value)) return value;
  throw new InvalidOptionError(path, `must be '/metrics' or a path below it, got ${describeValue(value)}`);
};

/**
 * One node's kubelet, reached through a dialer. It uses the kubelet's own API, as kube-apiserver does; the cluster's API is not needed.
 *
 * Whoever answers is verified before anything is sent, as {@link KubeletClientOptions} says. Every call may fail with an error of `dial`,
 * with Node's own error of TLS, such as `ERR_TLS_CERT_ALTNAME_INVALID`, with a {@link KubeletCertificateError}, and with a
 * {@link KubeletError} when the kubelet refuses: 401, 403, 404, 400.
 *
 * @example
 * ```ts
 * await using kubelet = new KubeletClient(dialer, { node, tls: tlsFiles({ caFile, certFile, keyFile }) });
 * const log = await kubelet.logs({ namespace: 'shop', pod: 'cart-7d4b9c', container: 'cart', follow: { resume: true } });
 * await pipeline(log, process.stdout, { end: false });
 * ```
 */
export class KubeletClient implements AsyncDisposable {
  readonly #access: KubeletAccess;
  #isClosed = false;

  /**
   * Dials nothing yet.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  constructor(dialer: Dialer, options: KubeletClientOptions) {
    this.#access = accessFrom(dialer, options);
  }

  /** The node's name. */
  get node(): string {
    return this.#access.node;
  }

  /** The address that is dialled. */
  get host(): string {
    return this.#access.host;
  }

  /** The kubelet's port. */
  get port(): number {
    return this.#access.port;
  }

  /**
   * A container's log, byte for byte. Resolves when the kubelet answers with it. One that is followed resolves two seconds after the
   * request at the latest, because a kubelet does not answer before there is something to say; a refusal that comes later fails the stream.
   *
   * A log that breaks off fails with a {@link LogCutError}; it never ends as if it were complete. Of one that is followed the error tells
   * the last line's time, and no line is given in part, but for those longer than 64 KiB. With `follow: { resume: true }` it goes on by
   * itself, each line once, until the container ends, the signal is aborted, the kubelet refuses several times or stays out of reach
   * for `giveUpMs`. What the kubelet cannot tell any more is lost: lines of a file that was rotated away meanwhile, or of a
   * container that was replaced, whose end is in `previous`.
   *
   * There is no deadline and no idle timeout. Nobody reading holds the kubelet back, at some 2 MB.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, before anything is sent; the errors of the class; the signal's reason
   */
  async logs(options: LogOptions): Promise<Readable> {
    const request = checkLogOptions(options);
    const log = new LogStream(this.#open(), request);
    await log.open();
    return log;
  }

  /**
   * Runs a command in a container. Needs the package `ws`.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, before anything is sent; {@link StreamingError}; the errors of the class;
   *   the signal's reason
   */
  async exec(options: ExecOptions): Promise<RemoteProcess> {
    return openExec(this.#open(), options);
  }

  /** Attaches to the process of a container, as {@link KubeletClient.exec} runs one. */
  async attach(options: AttachOptions): Promise<RemoteProcess> {
    return openAttach(this.#open(), options);
  }

  /**
   * Opens one connection to a port of a pod, as `dial` opens one to an endpoint. Needs the package `ws`. That nobody
   * listens there is known only later, and destroys it.
   *
   * The pod's end of data is its end. Ours cannot be told, since the protocol has no half-close: after `end()` the answer is read on, and when
   * the pod is silent for `lingerMs` the connection is closed and the stream fails with `ERR_KUBELET_NO_HALF_CLOSE`.
   *
   * @throws as {@link KubeletClient.exec}
   */
  async portForward(options: PortForwardOptions): Promise<TunnelSocket> {
    return openPortForward(this.#open(), options);
  }

  /** The pods that the kubelet runs (`/pods`). */
  async pods(options?: CallOptions): Promise<PodList> {
    const list = await this.#json('/pods', options);
    if (Array.isArray(list.items)) return list as PodList;
    throw this.#wrong('/pods', 'is no list of pods');
  }

  /**
   * What the kubelet says of itself (`/healthz`): `ok`.
   *
   * @throws {@link KubeletError} with status 500 if it is not well, and what it says of it
   */
  healthz(options?: CallOptions): Promise<string> {
    return this.#text('/healthz', MAX_TEXT_LENGTH, options);
  }

  /**
   * Metrics in the text format of Prometheus.
   *
   * @param path - `/metrics` (the default), `/metrics/cadvisor`, `/metrics/resource` or `/metrics/probes`
   */
  async metrics(path?: string, options?: CallOptions): Promise<string> {
    return this.#text(metricsPath(path, 'metrics() argument 1'), MAX_TEXT_LENGTH, options);
  }

  /** CPU, memory, network and file systems of the node and its pods (`/stats/summary`; stats/v1alpha1, Summary). */
  statsSummary(options?: CallOptions): Promise<JsonObject> {
    return this.#json('/stats/summary', options);
  }

  /** The configuration that the kubelet runs with (`/configz`). */
  configz(options?: CallOptions): Promise<JsonObject> {
    return this.#json('/configz', options);
  }

  /**
   * Takes no more calls, and ends the connections that are kept for the next one. What is under way goes on: destroy it, or abort
   * its signal.
   */
  close(): Promise<void> {
    this.#isClosed = true;
    retire(this.#access.agent);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @throws {@link ClosedError} `ERR_TUNNEL_CLOSED` */
  #open(): KubeletAccess {
    const { node } = this.#access;
    if (this.#isClosed) throw new ClosedError(`the client of the kubelet of ${node} is closed`, { node });
    return this.#access;
  }

  async #text(path: string, maxLength: number, options: CallOptions = {}): Promise<string> {
    const { signal } = checkCall(options, '');
    return askForText(this.#open(), path, maxLength, signal);
  }

  async #json(path: string, options?: CallOptions): Promise<JsonObject> {
    const text = await this.#text(path, MAX_JSON_LENGTH, options);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#wrong(path, 'is no JSON');
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
    throw this.#wrong(path, 'is no JSON object');
  }

  #wrong(path: string, problem: string): KubeletAnswerError {
    const { node, host, port } = this.#access;
    const message = `what the kubelet of ${node} answers to ${path} ${problem}: is it a kubelet?`;
    return new KubeletAnswerError(message, { node, host, port });
  }
}
