import { command } from '../command.js';
import { UsageError } from '../command-line.js';
import { dim, StageDirections } from '../stage-directions.js';
import { untilStopped } from '../until-stopped.js';
import { askingFrom } from './ask.js';
import { inCluster, type Cluster } from './cluster.js';
import { hasKubectl, kubectlWith } from './kubectl.js';
import { startProxy } from './start-proxy.js';
import { trialsIn } from './trials.js';

const HELP = `Usage: apiserver-demo [--once]

Starts a small cluster in this process, whose API server has no route to its nodes, and
apiserver-proxy in front of it, for you to try with kubectl. Stays until Ctrl-C.

What is executed in a pod of this cluster is executed on this machine, as you.

  --once                     try it here, with kubectl if there is one on the PATH, and end
  -h, --help                 print this

Exit codes: 0 all went as it should; 1 something did not; 2 wrong usage; 130 ended by Ctrl-C.
`;

/** Shows examples/apiserver-proxy.ts at work. */
export const apiserverDemo = command({
  name: 'apiserver-demo',
  help: HELP,
  options: { once: { type: 'boolean' } },
  run: (line, { output, signal }) => {
    if (line.words.length > 0) throw new UsageError('no names are needed');
    const stage = new StageDirections(output);
    return inCluster(async (cluster) => {
      stage.heading('An API server that cannot reach its nodes, and a proxy in front of it that can');
      stage.say(`  $ apiserver-proxy --config ${cluster.config}`);
      const proxy = await startProxy(cluster.config, stage.indented('    ', dim));
      let isRight = true;
      try {
        if (line.flag('once')) isRight = await tryAll(cluster, { stage, server: proxy.server, signal });
        else await leave(cluster, { stage, server: proxy.server, signal });
      } finally {
        isRight = (await proxy.stop()) === 0 && isRight;
      }
      return isRight ? 0 : 1;
    });
  },
});

interface Scene {
  readonly stage: StageDirections;
  /** URL of the proxy. */
  readonly server: string;
  readonly signal: AbortSignal;
}

async function leave(cluster: Cluster, { stage, server, signal }: Scene): Promise<never> {
  stage.heading('Your turn, in another terminal');
  stage.say(`  export KUBECONFIG=${await cluster.kubeconfig(server)}`);
  for (const { line } of trialsIn(cluster)) stage.say(`  kubectl ${line}`);
  stage.say('\nWhat you execute in a pod is executed on this machine, as you. Ctrl-C ends it all.\n');
  return untilStopped(signal);
}

/** Whether everything went as it should. */
async function tryAll(cluster: Cluster, { stage, server, signal }: Scene): Promise<boolean> {
  const isThere = await hasKubectl();
  const attempt = isThere ? kubectlWith(await cluster.kubeconfig(server)) : askingFrom(server, cluster);
  stage.heading(isThere ? 'Tried with kubectl' : 'Tried without kubectl, which is not on the PATH');
  let wrong = 0;
  for (const trial of trialsIn(cluster)) {
    if (!isThere && trial.path === undefined) continue;
    stage.say(isThere ? `  $ kubectl ${trial.args?.join(' ') ?? trial.line}` : `  GET ${trial.path}`);
    const outcome = await attempt(trial, signal);
    for (const line of outcome.shown.slice(0, 1000).trimEnd().split('\n')) stage.say(`    ${line}`);
    if (await trial.isRight(outcome)) continue;
    wrong += 1;
    stage.say(`    WRONG, with exit code ${outcome.code}`);
  }
  return wrong === 0;
}
