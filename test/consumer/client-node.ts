import type { KubeConfig } from '@kubernetes/client-node';
import { CoreV1Api } from '@kubernetes/client-node';
import { TunnelKubeConfig } from 'tunnel-dialer/client-node';
import { TunnelDialer, insecureAcceptAnyHostKey } from 'tunnel-dialer';

const dialer = new TunnelDialer({
  nodes: [],
  ssh: { username: 'tunnel', agent: '/nowhere', hostKeys: insecureAcceptAnyHostKey() },
});
const config: KubeConfig = new TunnelKubeConfig(dialer);
config.loadFromString(
  'apiVersion: v1\nclusters: [{ name: c, cluster: { server: "https://10.0.0.1" } }]\ncontexts: [{ name: c, context: { cluster: c, user: u } }]\ncurrent-context: c\nusers: [{ name: u, user: {} }]\n',
);
const refusal: unknown = await config
  .makeApiClient(CoreV1Api)
  .listNamespace()
  .catch((error: unknown) => error);
await dialer.close();
if (!(refusal instanceof Error) || !String(refusal).includes('no node'))
  throw new Error(`not as expected: ${String(refusal)}`);
