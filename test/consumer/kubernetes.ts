import { kubernetesNodes, type KubernetesNodesOptions } from 'tunnel-dialer/kubernetes';
import { InvalidOptionError, type NodeSource, type NodeUpdate } from 'tunnel-dialer';

const options: KubernetesNodesOptions = { kubeconfig: '/nowhere/kubeconfig', addressTypes: ['ExternalIP'] };
const source: NodeSource = kubernetesNodes(options);
const stop = new AbortController();
const updates: NodeUpdate[] = [];
for await (const update of source.follow(stop.signal)) {
  updates.push(update);
  stop.abort();
}
let refusal: unknown;
try {
  kubernetesNodes({ silenceMs: 0 });
} catch (error) {
  refusal = error;
}
// Of the same class as the main entry's: the entries share their modules.
if (!(updates[0] instanceof Error) || !(refusal instanceof InvalidOptionError))
  throw new Error(`not as expected: ${JSON.stringify(updates)}, ${String(refusal)}`);
