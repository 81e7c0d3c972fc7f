import { readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
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
 * It is not watched with inotify: that misses changes on network file systems and through the links of a mounted ConfigMap.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function nodesFile(path: string, options: NodesFileOptions = {}): NodeSource {
  nonEmptyString(path, 'nodesFile() path');
  const { intervalMs } = checkOptions(options, 'nodesFile() options');
  return { name: `file ${path}`, follow: (signal) => followFile(path, intervalMs, signal) };
}

async function* followFile(path: string, intervalMs: number, signal: AbortSignal): AsyncIterable<NodeUpdate> {
  let told: string | undefined;
  /** Of the content that was read last; not at first, when nobody has seen yet that it is still. */
  let readVersion: string | undefined;
  let seen: string | undefined;
  while (!signal.aborted) {
    const version = await versionOf(path);
    const isStill = version === seen && version !== readVersion;
    if (isStill || told === undefined) {
      const update = await read(path);
      if (isStill) readVersion = version;
      const content = update instanceof Error ? update.message : JSON.stringify(update);
      if (content !== told) yield update;
      told = content;
    }
    seen = version;
    await delay(intervalMs, undefined, { signal });
  }
}

/** Changes with the file's content, and with the file that the path leads to. */
async function versionOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return messageOf(error);
  }
}

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
