import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ApiserverProxy, ApiserverProxyOptions } from '../../lib/apiserver/index.js';
import {
  startApiServer,
  startKubelet,
  type ApiServer,
  type ApiServerOptions,
  type Kubelet,
  type KubeletOptions,
} from '../../lib/testing/index.js';
import { startProxyFront } from '../support/apiserver-front.js';
import { Lab } from '../support/dialer.js';

/** Addresses that only the node knows. */
const NODE_ADDRESS = '10.1.0.1';
export const POD_ADDRESS = '10.2.0.5';
const KUBELET_PORT = 10_250;

/** What is different from a cluster of one node with the pod `shop/cart`. */
export interface ClusterOptions {
  readonly kubelet?: KubeletOptions;
  readonly apiServer?: ApiServerOptions;
  readonly proxy?: Partial<ApiserverProxyOptions>;
}

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** A cluster behind an SSH node, and a proxy in front of it, all of it in this process. */
export class ClusterStage extends Lab {
  readonly kubelet: Kubelet;
  readonly apiServer: ApiServer;
  readonly proxy: ApiserverProxy;
  /** Where the dials to addresses of pods arrive: ports of this machine by `address:port`. */
  readonly podPorts: Map<string, number>;
  /** URL of the proxy. */
  readonly url: string;
  readonly #agent: https.Agent;

  private constructor(parts: Pick<ClusterStage, 'kubelet' | 'apiServer' | 'proxy' | 'podPorts' | 'url'>) {
    super();
    this.kubelet = parts.kubelet;
    this.apiServer = parts.apiServer;
    this.proxy = parts.proxy;
    this.podPorts = parts.podPorts;
    this.url = parts.url;
    this.#agent = new https.Agent({ ca: this.apiServer.certificateAuthority, keepAlive: true });
    this.onEnd(() => this.#agent.destroy());
  }

  static async start(options: ClusterOptions = {}): Promise<ClusterStage> {
    const lab = new Lab();
    const kubelet = await startKubelet({
      altNames: [NODE_ADDRESS],
      pods: [
        { namespace: 'shop', name: 'cart', containers: [{ name: 'app' }] },
        { namespace: 'shop', name: 'two', containers: [{ name: 'a' }, { name: 'b' }] },
      ],
      ...options.kubelet,
    });
    const podPorts = new Map<string, number>();
    const node = await lab.node({
      redirect: (host, port) => {
        const found =
          host === NODE_ADDRESS && port === KUBELET_PORT ? kubelet.port : podPorts.get(`${host}:${port}`);
        if (found === undefined) throw new Error('there is nothing at this address');
        return { host: '127.0.0.1', port: found };
      },
    });
    const apiServer = await startApiServer({ objects: OBJECTS, ...options.apiServer });
    const front = await startProxyFront(lab.dialer([node]), { apiServer, kubelet }, options.proxy);
    const { proxy, url } = front;
    const stage = new ClusterStage({ kubelet, apiServer, proxy, podPorts, url });
    stage.onEnd(() => lab.end());
    stage.onEnd(() => kubelet.close());
    stage.onEnd(() => apiServer.close());
    stage.onEnd(() => front.close());
    return stage;
  }

  /** A web server that is a port of a pod. */
  async pod(address: string, port: number, listener: http.RequestListener): Promise<http.Server> {
    const server = http.createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.podPorts.set(`${address}:${port}`, (server.address() as AddressInfo).port);
    this.onEnd(() => {
      server.close();
      server.closeAllConnections();
    });
    return server;
  }

  /** Headers of a request of this user. */
  as(user: string): Record<string, string> {
    return { authorization: `Bearer ${this.apiServer.tokenOf(user)}` };
  }

  /** Asks the proxy, as `admin` unless the headers say otherwise. */
  async ask(path: string, options: https.RequestOptions = {}, body = ''): Promise<Answer> {
    const response = await this.begin(path, options, body);
    const { statusCode: status = 0, headers } = response;
    return { status, headers, body: await text(response) };
  }

  /** The same, with the answer still to be read. */
  async begin(path: string, options: https.RequestOptions = {}, body = ''): Promise<http.IncomingMessage> {
    // A URL would lose dots and slashes.
    const { hostname, port } = new URL(this.url);
    const request = https.request({
      hostname,
      port,
      path,
      agent: this.#agent,
      headers: this.as('admin'),
      ...options,
    });
    request.end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return response;
  }
}

const pod = (name: string, containers: readonly string[], nodeName?: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop' },
  spec: {
    ...(nodeName !== undefined && { nodeName }),
    containers: containers.map((each) => ({ name: each, image: 'none', ports: [{ containerPort: 8080 }] })),
  },
  status:
    nodeName === undefined
      ? { phase: 'Pending' }
      : { phase: 'Running', podIP: POD_ADDRESS, podIPs: [{ ip: POD_ADDRESS }] },
});

const OBJECTS: NonNullable<ApiServerOptions['objects']> = [
  {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-1' },
    status: {
      addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }],
      daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
    },
  },
  pod('cart', ['app'], 'node-1'),
  pod('two', ['a', 'b'], 'node-1'),
  pod('unscheduled', ['app']),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { ports: [{ name: 'http', port: 80 }] },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [
      {
        addresses: [POD_ADDRESS],
        conditions: { ready: true },
        nodeName: 'node-1',
        targetRef: { kind: 'Pod', name: 'cart', namespace: 'shop' },
      },
    ],
  },
];
