import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import {
  apiserverProxy,
  SERVER_OPTIONS,
  type ApiserverPartsOptions,
  type ApiserverProxy,
  type ApiserverProxyOptions,
} from '../../lib/apiserver/index.js';
import type { Dialer } from '../../lib/index.js';
import type { ApiServer, Kubelet } from '../../lib/testing/index.js';

/** Another name in its certificate, which nothing resolves. */
export const FRONT_NAME = 'kubernetes.default.svc';

/** What a server in front of an API server does with what comes. */
export type FrontHandlers = Pick<ApiserverProxy, 'request'> & Partial<Pick<ApiserverProxy, 'upgrade'>>;

/** A server in front of an API server, on loopback, with a certificate by the same authority. */
export interface Front {
  readonly url: string;
  /** Cuts off every client. */
  close(): Promise<void>;
}

/** Starts a server in front of an API server. It asks for client certificates, and leaves it to the handlers what they are worth. */
export async function startFront(apiServer: ApiServer, { request, upgrade }: FrontHandlers): Promise<Front> {
  const { certificate: cert, privateKey: key } = apiServer.servingCertificate('127.0.0.1', FRONT_NAME);
  const ca = apiServer.certificateAuthority;
  const mutual = { ca, requestCert: true, rejectUnauthorized: false };
  const server = https.createServer({ cert, key, ...mutual, ...SERVER_OPTIONS }, request);
  if (upgrade !== undefined) server.on('upgrade', upgrade);
  // Those of upgrades are no longer the server's own.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server.close(), 'close');
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Both ends of an {@link ApiserverProxy}. */
export interface FakeCluster {
  readonly apiServer: ApiServer;
  readonly kubelet: Kubelet;
}

/** An {@link ApiserverProxy} that listens. */
export interface ProxyFront extends Front {
  readonly proxy: ApiserverProxy;
}

/** Starts an {@link ApiserverProxy} in front of an API server and a kubelet, which lets it do everything. */
export async function startProxyFront(
  dialer: Dialer,
  { apiServer, kubelet }: FakeCluster,
  options: Partial<ApiserverProxyOptions> = {},
): Promise<ProxyFront> {
  const proxy = apiserverProxy(dialer, { ...partsOptions({ apiServer, kubelet }), ...options });
  const front = await startFront(apiServer, proxy);
  return {
    ...front,
    proxy,
    async close() {
      await front.close();
      await proxy.close();
    },
  };
}

/** What a proxy is told of an API server and a kubelet, which let it do everything. */
export function partsOptions({ apiServer, kubelet }: FakeCluster): ApiserverPartsOptions {
  const client = kubelet.clientCertificate();
  return {
    upstream: {
      server: apiServer.url,
      certificateAuthority: apiServer.certificateAuthority,
      token: apiServer.addUser({ name: 'the-proxy', groups: ['system:masters'] }),
    },
    kubelet: {
      certificateAuthority: kubelet.certificateAuthority,
      clientCertificate: client.certificate,
      clientKey: client.privateKey,
    },
  };
}
