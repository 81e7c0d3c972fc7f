import { InvalidOptionError } from '../errors.js';
import type { LeftOut } from '../source-follower.js';
import {
  arrayOf,
  boolean,
  describeKind,
  nonEmptyString,
  objectOf,
  withDefault,
  type Check,
} from '../validation.js';
import type { NodeSpec } from './node.js';

export type { LeftOut };

/** All the nodes there are, and those of which the source knows more than it can tell. */
export interface NodeListing {
  readonly nodes: readonly NodeSpec[];
  /** What is wrong with those that are not among `nodes`, or are as they were before. They are shown in the dialer's status. */
  readonly leftOut: readonly LeftOut[];
}

/** All the nodes there are, as a list or, where some had to be left out, with those; or, when that cannot be told, why not. */
export type NodeUpdate = readonly NodeSpec[] | NodeListing | Error;

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

const text: Check<string> = (value, path) => {
  if (typeof value === 'string') return value;
  throw new InvalidOptionError(path, `must be a string, got ${describeKind(value)}`);
};

const checkLeftOut = arrayOf(
  objectOf({ name: text, reason: text, isKept: withDefault(boolean, false) } satisfies Record<
    keyof LeftOut,
    Check<unknown>
  >),
);

/**
 * What a source has told, as a listing. What each node has to be is not judged here.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function listingOf(update: readonly NodeSpec[] | NodeListing): NodeListing {
  if (!isListing(update)) return { nodes: update, leftOut: [] };
  return { nodes: update.nodes, leftOut: checkLeftOut(update.leftOut, 'leftOut') };
}

const isListing = (update: readonly NodeSpec[] | NodeListing | null): update is NodeListing =>
  typeof update === 'object' && update !== null && 'nodes' in update;
