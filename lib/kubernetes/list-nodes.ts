import { unlessAborted } from '../unless-aborted.js';
import { getFromApi, textOf } from './api-request.js';
import type { CredentialSource } from './cluster-access.js';
import { trimNode, type KubernetesNode } from './node-spec.js';
import { TimeLimit } from './time-limit.js';

export interface ListOptions {
  readonly labelSelector: string | undefined;
  readonly listTimeoutMs: number;
}

/** All the Nodes of one moment. */
export interface NodeListing {
  readonly nodes: readonly KubernetesNode[];
  /** The moment: where a watch begins. */
  readonly resourceVersion: string;
}

interface Page {
  readonly nodes: readonly KubernetesNode[];
  readonly resourceVersion: string;
  /** What to ask for the next page with; the last has none. */
  readonly next: string | undefined;
}

/** Nodes of a page. To parse more of them at once would hold up everything else in the process. */
const PAGE_SIZE = 250;

/** Twenty times what Kubernetes is made for. */
const MAX_NODES = 100_000;

/** Lists the Nodes, page by page, within one deadline. */
export async function listNodes(
  credentials: CredentialSource,
  { labelSelector, listTimeoutMs }: ListOptions,
  outer: AbortSignal,
): Promise<NodeListing> {
  const limit = new TimeLimit(outer);
  limit.begin(listTimeoutMs, 'the API did not list the nodes');
  try {
    const given = await unlessAborted(credentials(limit.signal), limit.signal);
    const nodes: KubernetesNode[] = [];
    let next: string | undefined;
    for (let pages = 1; ; pages += 1) {
      const query = { limit: String(PAGE_SIZE), continue: next, labelSelector };
      const response = await getFromApi(given, query, limit.signal);
      const page = parsePage(await textOf(response, limit.signal));
      // Not spread into push(), which has room for so many arguments only.
      for (const node of page.nodes) nodes.push(node);
      // Of empty pages, which there may be (meta/v1, ListOptions), there must be an end, too.
      if (nodes.length > MAX_NODES || pages > MAX_NODES)
        throw new Error(`the API lists more than ${MAX_NODES} nodes: ask for fewer by labelSelector`);
      if (page.next === undefined) return { nodes, resourceVersion: page.resourceVersion };
      if (page.next === next) throw new Error('the API gives the same page of nodes again and again');
      next = page.next;
    }
  } finally {
    limit.end();
  }
}

function parsePage(text: string): Page {
  try {
    const { items, metadata } = JSON.parse(text) as { items: unknown; metadata: Record<string, unknown> };
    const { resourceVersion, continue: next = '' } = metadata;
    if (Array.isArray(items) && typeof resourceVersion === 'string' && typeof next === 'string')
      return { nodes: items.map(trimNode), resourceVersion, next: next === '' ? undefined : next };
  } catch {
    // What a parser says would quote the answer.
  }
  throw new Error('the answer of the API is not a list of nodes');
}
