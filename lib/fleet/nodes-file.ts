import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { followFiles } from '../follow-files.js';
import { milliseconds, nonEmptyString, objectOf, withDefault } from '../validation.js';
import type { NodeSpec } from './node.js';
import type { NodeSource, NodeUpdate } from './node-source.js';

export interface NodesFileOptions {
  /** How often the file is looked at, in milliseconds. Default: 1000. */
  intervalMs?: number | undefined;
}

const checkOptions = objectOf({ intervalMs: withDefault(milliseconds(1), 1000) });

/**
 * The nodes that a YAML or JSON file lists: an array of {@link NodeSpec}, or an object with such an array as `nodes`. It is looked at
 * again and again, and read when it has changed and then been still for one look, so that one that is being written is not taken for
 * finished. It may be edited in place, replaced by another, or a link that is turned elsewhere. While it is missing or broken, the last
 * good list stays in use.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function nodesFile(path: string, options: NodesFileOptions = {}): NodeSource {
  nonEmptyString(path, 'nodesFile() path');
  const { intervalMs } = checkOptions(options, 'nodesFile() options');
  return { name: `file ${path}`, follow: (signal) => followFile(path, intervalMs, signal) };
}

async function* followFile(path: string, intervalMs: number, signal: AbortSignal): AsyncIterable<NodeUpdate> {
  let told = await read(path);
  yield told;
  for await (const update of followFiles({ paths: [path], read: () => read(path), intervalMs, signal })) {
    if (contentOf(update) !== contentOf(told)) yield update;
    told = update;
  }
}

const contentOf = (update: NodeUpdate): string =>
  update instanceof Error ? update.message : JSON.stringify(update);

async function read(path: string): Promise<NodeUpdate> {
  try {
    return nodesIn(parse(await readFile(path, 'utf8')));
  } catch (error) {
    return new Error(`cannot read the nodes in ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** What each node has to be is the dialer's to judge. */
function nodesIn(content: unknown): readonly NodeSpec[] {
  const nodes =
    typeof content === 'object' && content !== null && 'nodes' in content ? content.nodes : content;
  if (Array.isArray(nodes)) return nodes as NodeSpec[];
  throw new Error('it holds neither a list of nodes nor an object with such a list as "nodes"');
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
