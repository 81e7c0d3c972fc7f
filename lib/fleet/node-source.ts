import { InvalidOptionError } from '../errors.js';
import { describeKind, nonEmptyString } from '../validation.js';
import type { NodeSpec } from './node.js';

/** All the nodes there are; or, when that cannot be told, why not. */
export type NodeUpdate = readonly NodeSpec[] | Error;

/** Something that knows which nodes there are and tells when they change, such as {@link nodesFile}. */
export interface NodeSource {
  /** What it is, for messages and status: `file /etc/tunnel/nodes.yaml`. */
  readonly name: string;
  /**
   * Tells all the nodes at first and whenever they have changed. An `Error` in place of a list says that the last list may be out of
   * date; the source goes on trying. Ends when the signal is aborted.
   */
  follow(signal: AbortSignal): AsyncIterable<NodeUpdate>;
}

/** What a dialer takes for its nodes: a list, a source, or lists as they come. */
export type Nodes = readonly NodeSpec[] | NodeSource | AsyncIterable<NodeUpdate>;

/**
 * The source that an option means; `undefined` when it is a plain list.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function nodeSourceOf(nodes: Nodes, option: string): NodeSource | undefined {
  if (Array.isArray(nodes)) return undefined;
  if (typeof nodes === 'object' && (nodes as unknown) !== null) {
    if ('follow' in nodes && typeof nodes.follow === 'function') {
      nonEmptyString(nodes.name, `${option}.name`);
      return nodes;
    }
    if (Symbol.asyncIterator in nodes) return { name: 'the lists given', follow: () => nodes };
  }
  throw new InvalidOptionError(
    option,
    `must be an array of nodes, a source such as nodesFile(…), or an async iterable of arrays, got ${describeKind(nodes)}`,
  );
}
