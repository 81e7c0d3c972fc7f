import { unlessAborted } from '../unless-aborted.js';
import { getFromApi, textOf } from './api-request.js';
import type { CredentialSource } from './cluster-access.js';
import type { KubernetesNode } from './node-spec.js';
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
  readonly items: readonly KubernetesNode[];
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

/** Nodes of a page. To parse more of them at once would hold up everything else in the process. */
const PAGE_SIZE = 250;

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
    for (;;) {
      const query = { limit: String(PAGE_SIZE), continue: next, labelSelector };
      const response = await getFromApi(given, query, limit.signal);
      const { items, metadata } = parsePage(await textOf(response, limit.signal));
      // Not spread into push(), which has room for so many arguments only.
      for (const node of items) nodes.push(node);
      next = metadata.continue;
      if (!next) return { nodes, resourceVersion: metadata.resourceVersion };
    }
  } finally {
    limit.end();
  }
}

function parsePage(text: string): Page {
  try {
    const page = JSON.parse(text) as Partial<Page> | null;
    if (Array.isArray(page?.items) && typeof page.metadata?.resourceVersion === 'string') return page as Page;
  } catch {
    // What a parser says would quote the answer.
  }
  throw new Error('the answer of the API is not a list of nodes');
}
