import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { generateKeyPair } from 'tunnel-dialer';
import { startKubelet, startSshNode, type KubeletOptions, type SshNode } from 'tunnel-dialer/testing';
import type { Access } from './access.js';
import type { HostAndPort } from './command-line.js';

export interface StageOptions {
  /** Default: one, `node-1`. */
  readonly names?: readonly string[];
  readonly pods?: KubeletOptions['pods'];
  /** Where addresses that only the nodes know really are, such as `web.shop.svc:80`. */
  readonly endpoints?: Readonly<Record<string, HostAndPort>>;
}

/** What `--demo` plays on: nodes with an sshd and a kubelet each, all in this process. */
export interface Stage extends AsyncDisposable {
  readonly access: Access;
  readonly nodes: readonly SshNode[];
}

const KUBELET_PORT = 10_250;
const TOKEN = 'token-of-the-demo';

export async function startStage(options: StageOptions = {}): Promise<Stage> {
  const { names = ['node-1'], pods, endpoints = {} } = options;
  const { publicKey, privateKey } = await generateKeyPair();
  const all = await Promise.all(
    names.map(async (name) => {
      const kubelet = await startKubelet({ nodeName: name, pods, tokens: [TOKEN] });
      const node = await startSshNode({
        name,
        authorizedKeys: [publicKey],
        redirect: (host, port) =>
          port === KUBELET_PORT ? { host: kubelet.host, port: kubelet.port } : endpoints[`${host}:${port}`],
      });
      return { node, kubelet };
    }),
  );
  return {
    nodes: all.map(({ node }) => node),
    access: {
      nodes: all.map(({ node }) => node.spec),
      ssh: { username: 'tunnel', privateKey },
      kubelet: {
        certificateAuthority: all.map(({ kubelet }) => kubelet.certificateAuthority),
        token: TOKEN,
      },
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(all.flatMap(({ node, kubelet }) => [node.close(), kubelet.close()]));
    },
  };
}

export interface Site extends HostAndPort, AsyncDisposable {}

/** A web server that says the same to everybody. */
export async function startSite(text: string): Promise<Site> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
