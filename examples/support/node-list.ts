import { nodesFile, type NodeListing, type NodeSource, type NodeSpec } from 'tunnel-dialer';
import { kubernetesNodes } from 'tunnel-dialer/kubernetes';
import { UsageError } from './command-line.js';

/** Where nodes are listed. */
export type NodeList =
  | { readonly file: string }
  | {
      readonly kubeconfig: string;
      readonly context: string | undefined;
      readonly bastions?: readonly NodeSpec[];
    };

export function sourceOf(list: NodeList): NodeSource {
  return 'file' in list ? nodesFile(list.file) : kubernetesNodes(list);
}

/** The first listing that the source tells. @throws UsageError */
export async function listingOf(source: NodeSource, signal: AbortSignal): Promise<NodeListing> {
  for await (const update of source.follow(signal)) {
    if (update instanceof Error) throw new UsageError(update.message);
    return 'nodes' in update ? update : { nodes: update, leftOut: [] };
  }
  throw new UsageError(`${source.name} tells no nodes`);
}
