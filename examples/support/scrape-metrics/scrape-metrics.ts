import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeSpec } from 'tunnel-dialer';
import { createDialer, kubeletLoginFrom, loginFrom, warnIfUnverified, type Access } from '../access.js';
import { bounded } from '../bounded.js';
import { inColumns } from '../columns.js';
import { UsageError } from '../command-line.js';
import { command, type Surroundings } from '../command.js';
import { startStage } from '../demo-stage.js';
import { explain, isUsage } from '../explain.js';
import { listingOf, sourceOf, type NodeList } from '../node-list.js';
import { progressBar, progressText } from '../progress-bar.js';
import { HELP, OPTIONS, optionsFrom, type Options } from './arguments.js';
import { scrape, type Scrape } from './scrape.js';

const NAME = 'scrape-metrics';
const HINTS = {
  listsNodes: true,
  endpoint: 'is the kubelet up? kubeletPort and selfAddress of the node say where it finds it',
  notFound: 'does this kubelet know --path?',
};

/** Reads the metrics of many kubelets at once; 1 when one did not answer. */
export const scrapeMetrics = command({
  name: NAME,
  help: HELP,
  options: OPTIONS,
  hints: HINTS,
  async run(line, surroundings) {
    const options = optionsFrom(line);
    if (options.nodes === 'demo') return demo(options, surroundings);
    const { nodes, unusable } = await nodesIn(options.nodes, surroundings.signal);
    warnIfUnverified(line, surroundings.errors);
    const access = { nodes, ssh: loginFrom(line, nodes), kubelet: kubeletLoginFrom(line) };
    const scrapes = [...(await scrapeAll(access, options, surroundings)), ...unusable];
    surroundings.output.write(reportOn(scrapes, options));
    return scrapes.every(({ isWell }) => isWell) ? 0 : 1;
  },
});

/** On five nodes of which one refuses; 0 when that was so. */
async function demo(options: Options, surroundings: Surroundings): Promise<number> {
  const names = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5'];
  await using stage = await startStage({ names });
  const refusing = 'node-4';
  stage.nodes[3]?.faults.refuse({ reason: 2, description: 'Connection refused' });
  const scrapes = await scrapeAll(stage.access, options, surroundings);
  surroundings.output.write(reportOn(scrapes, options));
  return scrapes.every(({ name, isWell }) => isWell !== (name === refusing)) ? 0 : 1;
}

async function nodesIn(
  list: NodeList,
  signal: AbortSignal,
): Promise<{ nodes: readonly NodeSpec[]; unusable: readonly Scrape[] }> {
  const source = sourceOf(list);
  const { nodes, leftOut } = await listingOf(source, signal);
  const unusable = leftOut.map(({ name, reason }) => failed(name, new Error(reason)));
  if (nodes.every(({ bastion }) => bastion === true) && unusable.length === 0)
    throw new UsageError(`${source.name}: there are no nodes in it that have a kubelet`);
  return { nodes, unusable };
}

const failed = (name: string, error: unknown): Scrape => ({
  name,
  isWell: false,
  status: undefined,
  ms: 0,
  error,
});

async function scrapeAll(
  { nodes, ssh, kubelet }: Access,
  { path, concurrency, timeoutMs, save }: Options,
  { errors, width, signal }: Surroundings,
): Promise<Scrape[]> {
  if (nodes.length === 0) return [];
  if (save !== undefined) await mkdir(save, { recursive: true });
  await using dialer = createDialer({ nodes, ssh }, () => undefined, {
    reconnect: { maxHandshakes: concurrency },
    timeouts: { connectMs: timeoutMs },
  });
  const withKubelet = nodes.filter(({ bastion }) => bastion !== true);
  const keep = async (node: string, text: string): Promise<void> => {
    if (save !== undefined) await writeFile(join(save, `${node}.txt`), text);
  };
  const progress = { done: 0, total: withKubelet.length, troubles: 0 };
  const scrapes = await bounded(withKubelet, concurrency, async (node) => {
    const result = await scrape(node, { dialer, kubelet, path, timeoutMs, keep, signal });
    // Wrong options are wrong for every node.
    if (!result.isWell && isUsage(result.error)) throw result.error;
    progress.done += 1;
    if (!result.isWell) progress.troubles += 1;
    errors.write(
      width === undefined
        ? `${progressText(progress)}: ${rowOf(result).join(' ')}\n`
        : progressBar(progress, width),
    );
    return result;
  });
  if (width !== undefined) errors.write('\n');
  dialer.destroy();
  return scrapes;
}

function reportOn(scrapes: readonly Scrape[], { json }: Options): string {
  if (json) return `${JSON.stringify(scrapes.map(plain), undefined, 2)}\n`;
  const rows = inColumns([['NODE', 'STATUS', 'BYTES', 'MS'], ...scrapes.map(rowOf)]);
  const troubles = scrapes.flatMap((result) =>
    result.isWell ? [] : ['', `${result.name}: ${explain(result.error, NAME, HINTS)}`],
  );
  const well = scrapes.filter(({ isWell }) => isWell).length;
  return [...rows, ...troubles, '', `${well} of ${scrapes.length} kubelets have answered`, ''].join('\n');
}

function rowOf(result: Scrape): string[] {
  const { name, ms } = result;
  const { status, bytes } = plain(result);
  return [name, String(status ?? 'FAILED'), String(bytes ?? '-'), ms.toFixed(0)];
}

/** As JSON has it. */
function plain(result: Scrape): {
  readonly name: string;
  readonly isWell: boolean;
  readonly status: number | undefined;
  readonly bytes: number | undefined;
  readonly ms: number;
  readonly problem: string | undefined;
} {
  const { name, isWell, status, ms } = result;
  const bytes = isWell ? result.bytes : undefined;
  const problem = isWell ? undefined : explain(result.error, NAME, HINTS);
  return { name, isWell, status, bytes, ms: Math.round(ms), problem };
}
