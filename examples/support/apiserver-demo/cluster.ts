import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApiServer, startKubelet, startSshNode, type Endpoint } from 'tunnel-dialer/testing';
import { stringify } from 'yaml';
import { startSite } from '../demo-stage.js';
import { CART, GREETING, NODES, objectsOf, PROXY, RULES, SELL, WEB, WEB_ADDRESS, YOU } from './objects.js';

/** A cluster in this process, without a proxy. */
export interface Cluster {
  /** For files that come and go with it. */
  readonly folder: string;
  /** Path of what the proxy has to be told by `--config`. */
  readonly config: string;
  readonly webPort: number;
  /** PEM of the authority of the certificate that the proxy shows. */
  readonly certificateAuthority: string;
  /** The bearer token of somebody who may do everything. */
  readonly token: string;
  /** Writes down for kubectl what stands in front of the API server; returns the path. */
  kubeconfig(server: string): Promise<string>;
}

/** Starts an API server, nodes with a kubelet, and a web server in a pod; runs something in their midst, and ends them. */
export async function inCluster<T>(run: (cluster: Cluster) => Promise<T>): Promise<T> {
  await using site = await startSite(`${GREETING}\n`);
  // One kubelet does for all nodes: there is only one machine for its processes anyway.
  await using kubelet = await startKubelet({
    altNames: NODES.map(({ address }) => address),
    pods: [
      { name: CART, containers: [{ name: 'cart', command: ['sh', '-c', SELL] }] },
      { name: WEB, containers: [{ name: 'web', log: ['listening'] }] },
    ],
  });
  // What only the nodes know: where these addresses are.
  const redirect = (host: string, port: number): Endpoint | undefined => {
    if (port === 10_250) return { host: kubelet.host, port: kubelet.port };
    return host === WEB_ADDRESS && port === site.port ? site : undefined;
  };
  const [first, second] = NODES;
  await using one = await startSshNode({ name: first.name, redirect });
  const authorizedKeys = [one.clientKey.publicKey];
  await using two = await startSshNode({ name: second.name, redirect, authorizedKeys });
  await using apiServer = await startApiServer({
    users: [YOU, PROXY],
    rules: RULES,
    objects: objectsOf(site.port),
  });

  const folder = await mkdtemp(join(tmpdir(), 'tunnel-dialer-demo-'));
  const write = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  try {
    await write('menu.txt', `${GREETING}\n`);
    const serving = apiServer.servingCertificate('127.0.0.1', 'localhost');
    const client = kubelet.clientCertificate();
    const nodes = [one, two].map(({ spec }, index) => ({
      name: spec.name,
      address: spec.address,
      port: spec.port,
      addresses: [NODES[index]?.address],
    }));
    const config = {
      listen: '127.0.0.1:0',
      status: '127.0.0.1:0',
      'tls-cert': await write('proxy.crt', serving.certificate),
      'tls-key': await write('proxy.key', serving.privateKey),
      upstream: apiServer.url,
      'upstream-ca': await write('ca.crt', apiServer.certificateAuthority),
      'upstream-token-file': await write('token', apiServer.tokenOf(PROXY.name)),
      'kubelet-ca': await write('kubelet-ca.crt', kubelet.certificateAuthority),
      'kubelet-cert': await write('kubelet-client.crt', client.certificate),
      'kubelet-key': await write('kubelet-client.key', client.privateKey),
      nodes: await write('nodes.yaml', stringify({ nodes })),
      user: 'tunnel',
      key: await write('key', one.ssh.privateKey),
      'known-hosts': await write('known_hosts', `${one.knownHostsLine}\n${two.knownHostsLine}\n`),
      drain: 0,
    };
    return await run({
      folder,
      config: await write('config.yaml', stringify(config)),
      webPort: site.port,
      certificateAuthority: apiServer.certificateAuthority,
      token: apiServer.tokenOf(YOU.name),
      kubeconfig: (server) => write('kubeconfig', apiServer.kubeconfig(YOU.name, server)),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
