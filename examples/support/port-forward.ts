import type { Dialer } from 'tunnel-dialer';
import type { KubeletClient } from 'tunnel-dialer/kubelet';
import { listen, type LocalListener as Listener, type TcpAddress } from 'tunnel-dialer/listen';
import { environmentHelp, KUBELET_HELP, KUBELET_OPTIONS, NODE_HELP, NODE_OPTIONS } from './access-options.js';
import { createDialer, kubeletAccessFrom, openOnlyKubelet } from './access.js';
import { integer, objectName, UsageError, type CommandLine } from './command-line.js';
import { command } from './command.js';
import { startStage } from './demo-stage.js';
import type { Hints } from './explain.js';
import { forwardingOf } from './forwarding.js';
import { reportingDialer } from './reporting.js';
import { endOrStay } from './until-stopped.js';

type LocalListener = Listener<TcpAddress>;

const NAME = 'port-forward';

const HELP = `Usage: port-forward --node ADDRESS [options] POD [LOCAL:]REMOTE...
       port-forward --demo [--stay]

Listens on ports of this machine, and forwards what connects there to ports of a pod, through its
kubelet and through SSH to the node. Needs neither the API server nor anything on the node but sshd.

  LOCAL:REMOTE               the port here, and that of the pod; :REMOTE takes a free port here
  REMOTE                     the same port on both sides

  --demo                     a node, a kubelet and a pod with a web server are started in this
                             process; something is fetched through the forwarded port
  --stay                     the demo goes on until Ctrl-C, for you to try

The node
${NODE_HELP}
Its kubelet
${KUBELET_HELP}
  -n, --namespace NAME       (default: default)
      --address ADDRESS      of this machine, to listen on (default: 127.0.0.1). Whoever reaches it
                             reaches the pod.
  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

${environmentHelp('PORT_FORWARD')}
Example
    port-forward --node 10.0.0.11 --user tunnel --ca /etc/kubernetes/pki/ca.crt \\
      --token-file token -n shop cart-7d4b9c 8080:80 :9090

Exit codes: 0 the demo has ended; 1 failed, and stderr says why; 2 wrong usage; 130 ended by
Ctrl-C. A connection that cannot be forwarded is a line on stderr, and the others go on.
`;

const OPTIONS = {
  ...NODE_OPTIONS,
  ...KUBELET_OPTIONS,
  demo: { type: 'boolean' },
  stay: { type: 'boolean' },
  namespace: { type: 'string', short: 'n' },
  address: { type: 'string' },
  verbose: { type: 'boolean', short: 'v' },
} as const;

const HINTS: Hints = { notFound: 'does the pod run on this node, in this --namespace?' };

/** Forwards local ports to a pod, until it is stopped. */
export const portForward = command({
  name: NAME,
  help: HELP,
  options: OPTIONS,
  hints: HINTS,
  async run(line, surroundings) {
    const { errors, signal } = surroundings;
    const { isDemo, say, report, complain, startSite } = forwardingOf(NAME, HINTS, line, surroundings);
    const host = line.text('address') ?? '127.0.0.1';
    await using site = isDemo ? await startSite() : undefined;
    await using stage = isDemo ? await startStage() : undefined;
    const { namespace, pod, ports } = site === undefined ? targetFrom(line) : demoTarget(line, site.port);
    const access = stage?.access ?? kubeletAccessFrom(line, errors);

    await using dialer = createDialer(access, report);
    await using kubelet = openOnlyKubelet(reportingDialer(dialer, report), access);
    const inPod = podDialer(kubelet, { namespace, pod });
    const listeners: LocalListener[] = [];
    try {
      for (const { local, remote } of ports) {
        const onError = (error: Error): void => complain(error, `port ${remote}`);
        const listener = await listen(inPod, { host: pod, port: remote, at: { host, port: local }, onError });
        listeners.push(listener);
        say(`${host} port ${listener.address.port} is port ${remote} of ${pod}`);
      }
      const [first] = listeners;
      if (isDemo && first !== undefined) await fetchFrom(first, say, signal);
      return await endOrStay(line, signal);
    } finally {
      // At the end nobody is waited for.
      for (const listener of listeners) listener.destroy();
      await Promise.all(listeners.map((listener) => listener.close()));
    }
  },
});

/** A dialer whose endpoints are the ports of a pod, each dial one port-forward. */
function podDialer(
  kubelet: KubeletClient,
  name: { readonly namespace: string; readonly pod: string },
): Dialer {
  return {
    dial: (_host, port, { timeoutMs, signal } = {}) =>
      kubelet.portForward({ ...name, port, timeoutMs, signal }),
    close: () => kubelet.close(),
    destroy: () => void kubelet.close(),
    [Symbol.asyncDispose]: () => kubelet.close(),
  };
}

interface Target {
  readonly namespace: string;
  readonly pod: string;
  readonly ports: readonly { readonly local: number; readonly remote: number }[];
}

function targetFrom(line: CommandLine<typeof OPTIONS>): Target {
  const [pod, ...ports] = line.words;
  if (pod === undefined || ports.length === 0)
    throw new UsageError('the pod and at least one port are needed, as in cart-7d4b9c 8080:80');
  return {
    namespace: objectName('the namespace', line.text('namespace') ?? 'default'),
    pod: objectName('the pod', pod),
    ports: ports.map(portsFrom),
  };
}

function portsFrom(text: string): Target['ports'][number] {
  const [, local, remote] = /^(?:(\d*):)?(\d+)$/.exec(text) ?? [];
  if (remote === undefined)
    throw new UsageError(`a port must be LOCAL:REMOTE, REMOTE or :REMOTE, got ${JSON.stringify(text)}`);
  return {
    // None before the colon is any.
    local: local === '' ? 0 : integer('the local port', local ?? remote, 0, 65535),
    remote: integer("the pod's port", remote, 1, 65535),
  };
}

/** The pod that the demo's kubelet has anyway; its ports are those of this machine. */
function demoTarget({ words }: CommandLine<typeof OPTIONS>, port: number): Target {
  if (words.length > 0) throw new UsageError('--demo has a pod and a port of its own: give no names');
  return { namespace: 'default', pod: 'web', ports: [{ local: 0, remote: port }] };
}

async function fetchFrom(
  { address }: LocalListener,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const url = `http://127.0.0.1:${address.port}/`;
  say(`$ curl ${url}`);
  const response = await fetch(url, { signal, headers: { connection: 'close' } });
  say((await response.text()).trimEnd());
}
