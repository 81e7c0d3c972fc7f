import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { RemoteProcess } from 'tunnel-dialer/kubelet';
import { environmentHelp, KUBELET_HELP, KUBELET_OPTIONS, NODE_HELP, NODE_OPTIONS } from './access-options.js';
import { createDialer, kubeletAccessFrom, openOnlyKubelet } from './access.js';
import { objectName, UsageError, type CommandLine } from './command-line.js';
import { command, type Surroundings } from './command.js';
import { startStage } from './demo-stage.js';
import { reportingDialer } from './reporting.js';
import { isTerminal, makeRaw } from './terminal.js';

const HELP = `Usage: kubelet-exec --node ADDRESS [options] POD CONTAINER -- COMMAND [ARGUMENT...]
       kubelet-exec --demo [-i] [-t] [-- COMMAND [ARGUMENT...]]

Runs a command in a container through its kubelet, through SSH to the node. Needs neither the
API server nor anything on the node but sshd. -it -- sh gives a shell to work in.

  --demo                     a node, a kubelet and a container are started in this process; the
                             command really runs, on this machine

The node
${NODE_HELP}
Its kubelet
${KUBELET_HELP}
The command
  -n, --namespace NAME       (default: default)
  -i, --stdin                what is on stdin is for the command
  -t, --tty                  run it in a terminal; with -i, yours is put through, and follows its
                             size
      --ignore-stdin-end     do not mind that a kubelet before 1.36 cannot tell the command that
                             stdin has ended, for one that ends by itself

  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

${environmentHelp('KUBELET_EXEC')}
Examples
  A shell in a container, with your ssh-agent and the certificates that kubeadm gave the API
  server:

    kubelet-exec --node 10.0.0.11 --user tunnel --ca /etc/kubernetes/pki/ca.crt \\
      --cert /etc/kubernetes/pki/apiserver-kubelet-client.crt \\
      --client-key /etc/kubernetes/pki/apiserver-kubelet-client.key \\
      -n shop -it cart-7d4b9c cart -- sh

  Copy a folder out of it:

    kubelet-exec ... cart-7d4b9c cart -- tar -c -C /data . | tar -x

Exit codes: that of the command; of its own 1 failed, and stderr says why; 2 wrong usage; 130
ended by Ctrl-C, which with -it is the command's to take.
`;

const OPTIONS = {
  ...NODE_OPTIONS,
  ...KUBELET_OPTIONS,
  demo: { type: 'boolean' },
  namespace: { type: 'string', short: 'n' },
  stdin: { type: 'boolean', short: 'i' },
  tty: { type: 'boolean', short: 't' },
  'ignore-stdin-end': { type: 'boolean' },
  verbose: { type: 'boolean', short: 'v' },
} as const;

type Line = CommandLine<typeof OPTIONS>;

const DEMO_COMMAND = ['sh', '-c', 'echo "This is process $$ of $(uname -s), through SSH and a kubelet."'];

/** Runs a command in a container, with its exit code. */
export const kubeletExec = command({
  name: 'kubelet-exec',
  help: HELP,
  options: OPTIONS,
  hints: {
    cut: 'what became of the command is not known',
    stdinEnd: '--ignore-stdin-end says so',
  },
  async run(line, surroundings) {
    const { errors, signal } = surroundings;
    const report = (text: string): void => {
      if (line.flag('verbose')) errors.write(`# ${text}\n`);
    };
    const isDemo = line.flag('demo');
    const wanted = isDemo ? demoTarget(line) : target(line);
    const stdin = line.flag('stdin');
    const tty = line.flag('tty') && mayHaveTty(line, surroundings);
    await using stage = isDemo ? await startStage() : undefined;
    const access = stage?.access ?? kubeletAccessFrom(line, errors);

    await using dialer = createDialer(access, report);
    await using kubelet = openOnlyKubelet(reportingDialer(dialer, report), access);
    await using remote = await kubelet.exec({
      ...wanted,
      stdin,
      tty,
      stdinEndUnderV4: line.flag('ignore-stdin-end') ? 'ignore' : 'error',
      signal,
    });
    report(`the command runs, with ${remote.protocol}.channel.k8s.io`);
    const code = await carry(remote, { stdin, tty }, surroundings);
    report(`the command ended with ${code}`);
    return code;
  },
});

interface Target {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
}

function target(line: Line): Target {
  const [pod, container, ...more] = line.words;
  if (pod === undefined || container === undefined || more.length > 0) {
    const problem = 'the pod and the container are needed, and the command behind --';
    throw new UsageError(`${problem}; got ${line.words.length} names before it`);
  }
  const { rest = [] } = line;
  if (rest.length === 0)
    throw new UsageError('the command is missing: it goes behind --, as in POD CONTAINER -- ls -l');
  return {
    namespace: objectName('the namespace', line.text('namespace') ?? 'default'),
    pod: objectName('the pod', pod),
    container: objectName('the container', container),
    command: rest,
  };
}

/** The container that the demo's kubelet has anyway. */
function demoTarget({ words, rest = DEMO_COMMAND }: Line): Target {
  if (words.length > 0) throw new UsageError('--demo has a pod of its own: give only the command, behind --');
  if (rest.length === 0) throw new UsageError('the command is missing behind --');
  return { namespace: 'default', pod: 'web', container: 'app', command: rest };
}

/** As kubectl: without a terminal on our side there is none on the other. */
function mayHaveTty(line: Line, { input, errors }: Surroundings): boolean {
  if (!line.flag('stdin') || isTerminal(input)) return true;
  errors.write('WARNING: stdin is no terminal, so that the command gets none\n');
  return false;
}

/** Puts the streams through until the command ends. */
async function carry(
  remote: RemoteProcess,
  { stdin, tty }: { readonly stdin: boolean; readonly tty: boolean },
  { input = Readable.from([]), output, errors }: Surroundings,
): Promise<number> {
  using terminal = stdin && tty && isTerminal(input) ? makeRaw(input, output) : undefined;
  terminal?.onSize((size) => remote.resize(size));
  remote.stdin.on('error', () => undefined); // `exit` tells it
  input.on('error', (error) => remote.destroy(error));
  if (stdin) input.pipe(remote.stdin);
  try {
    await Promise.all([print(remote.stdout, output), print(remote.stderr, errors)]);
    return (await remote.exit).code;
  } finally {
    // It would keep the process waiting for a key that nobody needs.
    input.destroy();
  }
}

const print = (stream: Readable, output: Writable): Promise<void> => pipeline(stream, output, { end: false });
