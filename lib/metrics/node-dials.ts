import { AllNodesFailedError, NoRouteError, TunnelError } from '../errors.js';
import type { Series } from './series.js';

interface Counts {
  ok: number;
  error: number;
}

/** How the dials of each node ended. */
export class NodeDials {
  readonly #nodes = new Map<string, Counts>();

  readonly series: Series = {
    type: 'counter',
    name: 'node_dials_total',
    help: 'Dials by the node that carried them, or that they failed with, and by result',
    labels: ['node', 'result'],
    read: ({ nodes }) => {
      const names = new Set(nodes.map(({ name }) => name));
      for (const name of this.#nodes.keys()) if (!names.has(name)) this.#nodes.delete(name);
      return [...names].flatMap((node) => {
        const { ok, error } = this.#nodes.get(node) ?? { ok: 0, error: 0 };
        return [
          [ok, { node, result: 'ok' }],
          [error, { node, result: 'error' }],
        ] as const;
      });
    },
  };

  opened(node: string): void {
    this.#of(node).ok += 1;
  }

  failed(error: unknown): void {
    for (const node of nodesOf(error)) this.#of(node).error += 1;
  }

  #of(node: string): Counts {
    const counts = this.#nodes.get(node) ?? { ok: 0, error: 0 };
    this.#nodes.set(node, counts);
    return counts;
  }
}

/** The nodes that a dial failed with. None for a node that does not exist: what callers make up must not pile up. */
function nodesOf(error: unknown): Set<string> {
  const failures: readonly unknown[] = error instanceof AllNodesFailedError ? error.errors : [error];
  const isOfNode = (failure: unknown): failure is TunnelError & { node: string } =>
    failure instanceof TunnelError && !(failure instanceof NoRouteError) && failure.node !== undefined;
  return new Set(failures.filter(isOfNode).map(({ node }) => node));
}
