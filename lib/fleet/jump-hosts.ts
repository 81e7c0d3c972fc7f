import { InvalidOptionError } from '../errors.js';
import { describeValue } from '../validation.js';
import { parseHost } from './ip-address.js';
import type { Node } from './node.js';

/** A node, and what its connections go through. */
export interface Placed {
  readonly node: Node;
  readonly via: Node | undefined;
}

/**
 * Puts every jump host before the nodes that are behind it.
 *
 * @throws {@link InvalidOptionError} when a jump host is not among the nodes, or a node is behind itself
 */
export function inJumpOrder(nodes: Iterable<Node>): Placed[] {
  const byName = new Map<string, Node>();
  for (const node of nodes) byName.set(parseHost(node.name).key, node);
  const placed = new Map<Node, Placed>();
  for (const node of byName.values()) place(wayTo(node, byName, placed), placed);
  return [...placed.values()];
}

/** The node and the jump hosts before it that have no place yet; the farthest from us first. */
function wayTo(node: Node, byName: ReadonlyMap<string, Node>, placed: ReadonlyMap<Node, Placed>): Node[] {
  const way = [node];
  let last = node;
  while (last.via !== undefined && !placed.has(last)) {
    const next = byName.get(parseHost(last.via).key);
    if (next === undefined) {
      throw new InvalidOptionError(
        `via of ${last.name}`,
        `must be the name of a node in the list, got ${describeValue(last.via)}`,
      );
    }
    if (way.includes(next)) {
      const circle = [...way.slice(way.indexOf(next)), next].map(({ name }) => name);
      throw new InvalidOptionError(`via of ${last.name}`, `leads back to itself: ${circle.join(' → ')}`);
    }
    way.push(next);
    last = next;
  }
  return way;
}

function place(way: readonly Node[], placed: Map<Node, Placed>): void {
  let via: Node | undefined;
  for (const node of [...way].reverse()) {
    if (!placed.has(node)) placed.set(node, { node, via });
    via = node;
  }
}
