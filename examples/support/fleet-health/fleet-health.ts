import { UsageError, type CommandLine } from '../command-line.js';
import { bounded } from '../bounded.js';
import { createDialer, loginFrom, read } from '../access.js';
import { command, type Surroundings } from '../command.js';
import { listingOf, sourceOf } from '../node-list.js';
import { progressBar } from '../progress-bar.js';
import { HELP, OPTIONS, optionsFrom } from './arguments.js';
import { examine, notExamined, type Finding } from './examine.js';
import { tableOf } from './report.js';

/** Tells what is wrong with which node; 1 when something is. */
export const fleetHealth = command({
  name: 'fleet-health',
  help: HELP,
  options: OPTIONS,
  hints: { listsNodes: true },
  async run(line, surroundings) {
    const findings = await examineAll(line, surroundings);
    const text = line.flag('json') ? `${JSON.stringify(findings, undefined, 2)}\n` : tableOf(findings);
    surroundings.output.write(text);
    return findings.every(({ isWell }) => isWell) ? 0 : 1;
  },
});

async function examineAll(
  line: CommandLine<typeof OPTIONS>,
  { errors, width, signal }: Surroundings,
): Promise<Finding[]> {
  const options = optionsFrom(line);
  const source = sourceOf(options.nodes);
  const { nodes, leftOut } = await listingOf(source, signal);
  const unusable = leftOut.map(({ name, reason }) => notExamined(name, reason));
  if (nodes.length === 0 && unusable.length > 0) return unusable;
  if (nodes.length === 0)
    throw new UsageError(`${source.name}: there are no nodes in it that could be examined`);
  const { path, timeoutMs, concurrency } = options;
  // Each node is connected to when it is examined.
  await using dialer = createDialer({ nodes, ssh: loginFrom(line, nodes) }, () => undefined, {
    reconnect: { maxHandshakes: concurrency },
    timeouts: { connectMs: timeoutMs },
  });
  const tls = {
    ca: read('ca', options.ca),
    cert: read('cert', options.cert),
    key: read('client-key', options.clientKey),
    rejectUnauthorized: !options.insecureSkipTlsVerify,
  };
  let [done, troubles] = [0, 0];
  const findings = await bounded(nodes, concurrency, async (node) => {
    const finding = await examine(node, { dialer, tls, path, timeoutMs, signal });
    done += 1;
    if (!finding.isWell) troubles += 1;
    if (width !== undefined) errors.write(progressBar({ done, total: nodes.length, troubles }, width));
    return finding;
  });
  if (width !== undefined) errors.write('\n');
  dialer.destroy();
  return [...findings, ...unusable];
}
