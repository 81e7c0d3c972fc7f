import type { YAMLParseError } from 'yaml';
import { messageOf } from '../errors.js';
import { followFiles } from '../files/follow-files.js';
import { readRegularFile } from '../files/read-regular-file.js';
import { milliseconds, nonEmptyString, objectOf, withDefault } from '../validation.js';
import type { NodeSpec } from './node.js';
import type { NodeSource, NodeUpdate } from './node-source.js';

export interface NodesFileOptions {
  /** How often the file is looked at, in milliseconds. Default: 1000. */
  intervalMs?: number | undefined;
}

/** Thousands of nodes take a few MB; what is much more is no list of nodes, and to parse it would stop everything else. */
const MAX_BYTES = 16 * 2 ** 20;

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
    return nodesIn(await contentIn((await readRegularFile(path, MAX_BYTES)).toString()));
  } catch (error) {
    return new Error(`cannot read the nodes in ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function comparable(nodes: readonly NodeSpec[]): readonly NodeSpec[] {
  try {
    contentOf(nodes);
    return nodes;
  } catch {
    throw new Error('something in it contains itself, by an alias');
  }
}

/** JSON is YAML, too, but read as JSON in a fraction of the time. */
async function contentIn(text: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch {
    // eslint-disable-next-line no-restricted-syntax -- 2 MB that only YAML needs
    const { parse, YAMLParseError } = await import('yaml');
    try {
      // Merge keys (`<<: *defaults`) are of YAML 1.1, which is what Kubernetes reads.
      return parse(text, { logLevel: 'error', merge: true });
    } catch (error) {
      // A cause that quotes the file would bring it into a log.
      throw error instanceof YAMLParseError ? new Error(placeOf(error)) : error;
    }
  }
}

/** What the parser says goes on with the lines in question, which may be those of another file, with secrets, by mistake. */
function placeOf({ code, linePos }: YAMLParseError): string {
  if (code === 'MULTIPLE_DOCS') return 'it holds several YAML documents, not one';
  const { line, col } = linePos?.[0] ?? { line: 1, col: 1 };
  return `it is not YAML at line ${line}, column ${col} (${code})`;
}

/** What each node has to be is the dialer's to judge. */
function nodesIn(content: unknown): readonly NodeSpec[] {
  if (content === null) throw new Error('it is empty: for no nodes at all write []');
  const nodes = typeof content === 'object' && 'nodes' in content ? content.nodes : content;
  if (Array.isArray(nodes)) return comparable(nodes as NodeSpec[]);
  throw new Error('it holds neither a list of nodes nor an object with such a list as "nodes"');
}
