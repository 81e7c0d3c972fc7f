import type { ServerResponse } from 'node:http';
import { InvalidOptionError } from '../../errors.js';
import { createAuthority, type Authority, type KeyAndCertificate } from '../certificates.js';
import { Refusal } from './answers.js';
import { checkChange, type CertificateChange } from './certificate-change.js';
import { HttpsServer, type Context, type KubeletRequest } from './https-server.js';
import { handleOf, type KubeletContainer } from './kubelet-container.js';
import { parseLogQuery } from './log-query.js';
import type { Node } from './node.js';
import { checkOptions, checkPod, type KubeletOptions, type PodOptions, type Settings } from './options.js';
import type { Target } from './paths.js';
import { answerPlain } from './plain-endpoints.js';
import { Pods } from './pods.js';
import { sendLog } from './send-log.js';
import { createServingAuthority, serve, type Serving } from './serving-certificate.js';
import { Streaming, type OpenStreams } from './streaming.js';
import { WebSocketUpgrade } from './websocket-upgrade.js';

/** Whom a client certificate is for. */
export interface ClientSubject {
  readonly commonName?: string | undefined;
  readonly organization?: string | undefined;
}

/**
 * Starts a kubelet's HTTPS API in this process: `/containerLogs`, `/exec`, `/attach`, `/portForward`, `/pods`, `/healthz`, `/metrics`,
 * `/stats/summary`, `/configz`, with the checks, answers and error texts of a kubelet (k8s.io/kubernetes, pkg/kubelet/server/server.go).
 * What is executed is really executed, on this machine and as this user; ports are forwarded to this machine's. For tests and demos only.
 *
 * Needs the package `ws`; a terminal (`tty`) needs `script` and `stty` of Linux.
 *
 * @example
 * ```ts
 * import { TunnelDialer } from 'tunnel-dialer';
 * import { httpsAgent } from 'tunnel-dialer/http';
 * import { startKubelet, startSshNode } from 'tunnel-dialer/testing';
 *
 * const kubelet = await startKubelet();
 * const node = await startSshNode();
 * const dialer = new TunnelDialer({ nodes: [node.spec], ssh: node.ssh });
 * kubelet.container('default', 'web', 'app').print('ready');
 *
 * const { certificate, privateKey } = kubelet.clientCertificate();
 * const agent = httpsAgent(dialer, { ca: kubelet.certificateAuthority, cert: certificate, key: privateKey });
 * https.get({ host: kubelet.host, port: kubelet.port, path: '/containerLogs/default/web/app', agent });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; `node:net`'s own error when the address cannot be listened on, such as
 *   `EADDRINUSE`; an Error that says so when `ws` is not installed
 */
export async function startKubelet(options: KubeletOptions = {}): Promise<Kubelet> {
  const settings = checkOptions(options);
  const kubelet = new Kubelet(settings, await WebSocketUpgrade.load());
  try {
    await kubelet.listen();
  } catch (error) {
    await kubelet.close();
    throw error;
  }
  return kubelet;
}

/** A kubelet in this process, made by {@link startKubelet}. */
export class Kubelet implements AsyncDisposable {
  readonly nodeName: string;
  /** Where it listens, as the certificate has it. */
  readonly host: string;
  readonly #settings: Settings;
  readonly #pods: Pods;
  readonly #node: Node;
  readonly #streaming: Streaming;
  readonly #server: HttpsServer;
  readonly #clients = createAuthority('kubelet-client-ca');
  readonly #open: OpenStreams = { execs: 0, attaches: 0, portForwards: 0, logs: 0 };
  #servingAuthority: Authority;
  #serving: Serving;
  #port = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(settings: Settings, webSockets: WebSocketUpgrade) {
    const { nodeName, anonymous } = settings;
    this.nodeName = nodeName;
    this.host = settings.host;
    this.#settings = settings;
    this.#pods = new Pods(settings.pods);
    this.#node = { name: nodeName, startedAt: new Date(), pods: this.#pods, anonymous };
    this.#streaming = new Streaming(settings, this.#pods, webSockets, this.#open);
    this.#servingAuthority = createServingAuthority(nodeName);
    this.#serving = serve(this.#servingAuthority, settings);
    this.#server = new HttpsServer(this.#context(), settings, {
      answer: (target, query, response) => this.#answer(target, query, response),
      upgrade: (target, upgrade) => this.#streaming.upgrade(target, upgrade),
    });
  }

  /** 10250 on a node; here, a free one unless it was asked for. */
  get port(): number {
    return this.#port;
  }

  /** PEM that verifies it: its authority, or its certificate itself when that is self-signed. */
  get certificateAuthority(): string {
    return this.#serving.certificateAuthority;
  }

  /** A bearer token that it accepts; empty when it accepts none. */
  get token(): string {
    return this.#settings.tokens[0] ?? '';
  }

  /** How many streams are open. */
  get open(): Readonly<OpenStreams> {
    return { ...this.#open };
  }

  /** The last 1000 requests, oldest first. */
  get requests(): readonly KubeletRequest[] {
    return this.#server.requests;
  }

  /**
   * Makes a client certificate that it accepts.
   *
   * @param subject - CN and O: user and group. Default: `kube-apiserver-kubelet-client` of `system:masters`, as kubeadm has it
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  clientCertificate(subject: ClientSubject = {}): KeyAndCertificate {
    const { commonName = 'kube-apiserver-kubelet-client', organization = 'system:masters' } = subject;
    return this.#clients.issue({ commonName, organization, purpose: 'client' });
  }

  /**
   * Takes another serving certificate and key for new connections; those that are open stay.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  replaceCertificate(change: CertificateChange = {}): void {
    const { newAuthority, ...differing } = checkChange(change, '');
    const altNames = differing.altNames ?? this.#settings.altNames;
    if (newAuthority) this.#servingAuthority = createServingAuthority(this.nodeName);
    this.#serving = serve(this.#servingAuthority, { ...this.#settings, ...differing, altNames });
    this.#server.setContext(this.#context());
  }

  /**
   * Runs one more pod.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also when there is one of its name
   */
  addPod(options: PodOptions): void {
    const settings = checkPod(options);
    if (this.#closing !== undefined) throw new InvalidOptionError('pod', 'must come before close()');
    if (this.#pods.add(settings) === undefined)
      throw new InvalidOptionError('pod.name', `must be another: ${settings.name} is there`);
  }

  /** Kills what runs in a pod, and knows it no longer. Resolves when its processes are gone; also when there is none of that name. */
  async removePod(namespace: string, name: string): Promise<void> {
    const pod = this.#pods.find(namespace, name);
    if (pod !== undefined) await this.#pods.remove(pod);
  }

  /**
   * A container of a pod, whose log a test writes.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when there is none of these names
   */
  container(namespace: string, pod: string, container: string): KubeletContainer {
    const found = this.#pods.find(namespace, pod)?.container(container);
    if (found === undefined) {
      const known = this.#pods.all.flatMap((each) =>
        each.containers.map(({ name }) => `${each.namespace}/${each.name}/${name}`),
      );
      throw new InvalidOptionError('container', `must be one that it runs: ${known.join(', ')}`);
    }
    return handleOf(found);
  }

  /** @internal */
  async listen(): Promise<void> {
    this.#port = await this.#server.listen(this.#settings.port, this.#settings.host);
  }

  /**
   * Goes down: cuts off every client, as when a kubelet is killed, ends every process, and leaves nothing behind. May be called again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Clients first: the end of a container would look to them like that of its log. */
  async #close(): Promise<void> {
    await Promise.all([this.#streaming.close(), this.#server.close()]);
    await this.#pods.end();
  }

  #context(): Context {
    return { cert: this.#serving.certificate, key: this.#serving.privateKey, ca: this.#clients.certificate };
  }

  async #answer(target: Target, query: URLSearchParams, response: ServerResponse): Promise<void> {
    switch (target.kind) {
      case 'logs':
        await this.#logs(target, query, response);
        break;
      case 'plain':
        answerPlain(target.path, this.#node, response);
        break;
      case 'exec':
      case 'attach':
      case 'portForward':
        this.#streaming.refuse(target, query);
    }
  }

  async #logs(
    { namespace, pod: podName, container: name }: Extract<Target, { kind: 'logs' }>,
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const wanted = parseLogQuery(query);
    const pod = this.#pods.find(namespace, podName);
    if (pod === undefined) throw new Refusal(404, `pod "${podName}" does not exist`);
    const container = pod.container(name);
    if (container === undefined) throw new Refusal(404, `container "${name}" not found in pod "${podName}"`);
    const log = container.log(wanted.previous, podName);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    this.#open.logs += 1;
    try {
      await sendLog(log, wanted, response, gone.signal);
    } finally {
      this.#open.logs -= 1;
    }
  }
}
