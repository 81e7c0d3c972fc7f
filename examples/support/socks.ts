import { InvalidOptionError } from 'tunnel-dialer';
import { httpConnect, socks5 } from 'tunnel-dialer/listen';
import { environmentHelp, NODE_HELP, NODE_OPTIONS } from './access-options.js';
import { createDialer, loginFrom, nodesFrom } from './access.js';
import { hostAndPort, integer, UsageError, type CommandLine, type HostAndPort } from './command-line.js';
import { command } from './command.js';
import { startStage } from './demo-stage.js';
import type { Hints } from './explain.js';
import { forwardingOf } from './forwarding.js';
import { reportingDialer } from './reporting.js';
import { fetchThroughProxy } from './fetch-through-proxy.js';
import { endOrStay } from './until-stopped.js';

const NAME = 'socks';
const DEMO_HOST = 'cart.shop.svc.cluster.local';

const HELP = `Usage: socks --node ADDRESS [options]
       socks --nodes FILE [options]
       socks --demo [--http] [--stay]

A proxy on this machine, by SOCKS5 or HTTP CONNECT, whose connections go through SSH to the nodes:
for kubectl, curl and browsers. Names are resolved on the node.

      --http                 HTTP CONNECT in place of SOCKS5
      --listen [HOST:]PORT   (default: 127.0.0.1:1080, with --http 127.0.0.1:3128); port 0 is a
                             free one. Whoever reaches it gets wherever the nodes get: where other
                             machines reach it, --proxy-user is needed
      --proxy-user NAME      who may use the proxy; the password is in SOCKS_PROXY_PASSWORD

  --demo                     a node and a web server that only it knows are started in this
                             process; something is fetched through the proxy
  --stay                     the demo goes on until Ctrl-C, for you to try

The nodes
${NODE_HELP}\
  --nodes FILE               in place of --node: a list in YAML or JSON; each connection goes
                             through the node that is meant, or else any

  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

${environmentHelp('SOCKS')}
Examples
    socks --node 10.0.0.11 --user tunnel &
    curl --proxy socks5h://127.0.0.1:1080 http://web.default.svc.cluster.local/

    socks --http --nodes nodes.yaml --user tunnel &
    HTTPS_PROXY=http://127.0.0.1:3128 kubectl --server https://10.0.0.11:6443 get pods

Exit codes: 0 the demo has ended; 1 failed, and stderr says why; 2 wrong usage; 130 ended by
Ctrl-C. A connection that fails is a line on stderr, and the others go on.
`;

const OPTIONS = {
  ...NODE_OPTIONS,
  nodes: { type: 'string' },
  demo: { type: 'boolean' },
  stay: { type: 'boolean' },
  http: { type: 'boolean' },
  listen: { type: 'string' },
  'proxy-user': { type: 'string' },
  verbose: { type: 'boolean', short: 'v' },
} as const;

const HINTS: Hints = {
  peer: 'the endpoint',
  endpoint: 'is there such an endpoint, as seen from the node?',
};

/** A proxy through nodes, until it is stopped. */
export const socks = command({
  name: NAME,
  help: HELP,
  options: OPTIONS,
  hints: HINTS,
  async run(line, surroundings) {
    const { signal } = surroundings;
    if (line.words.length > 0) throw new UsageError('only options are needed, no names');
    const { isDemo, say, report, complain, startSite } = forwardingOf(NAME, HINTS, line, surroundings);
    const isHttp = line.flag('http');
    if (isDemo && line.text('proxy-user') !== undefined)
      throw new UsageError('--proxy-user is not for --demo, which is a client of its own proxy');
    const at = placeFrom(line, isDemo ? 0 : isHttp ? 3128 : 1080);
    const login = proxyLoginFrom(line);
    await using site = isDemo ? await startSite() : undefined;
    await using stage = site && (await startStage({ endpoints: { [`${DEMO_HOST}:80`]: site } }));
    const nodes = stage?.access.nodes ?? (await nodesFrom(line, signal));
    const ssh = stage?.access.ssh ?? loginFrom(line, nodes);

    await using dialer = createDialer({ nodes, ssh }, report);
    const listenOn = isHttp ? httpConnect : socks5;
    const onError = (error: Error): void => complain(error);
    const proxy = await listenOn(reportingDialer(dialer, report), { at, ...login, onError }).catch(
      (error: unknown) => {
        throw inOurWords(error);
      },
    );
    try {
      const through = nodes.length === 1 ? nodes[0]?.name : `${nodes.length} nodes`;
      say(`${isHttp ? 'HTTP CONNECT' : 'SOCKS5'} proxy through ${through}: ${proxy.url}`);
      if (isDemo) {
        say(`$ curl ${isHttp ? '--proxytunnel ' : ''}--proxy ${proxy.url} http://${DEMO_HOST}/`);
        say((await fetchThroughProxy(proxy.address, isHttp, `http://${DEMO_HOST}/`, signal)).trimEnd());
      }
      return await endOrStay(line, signal);
    } finally {
      // At the end nobody is waited for.
      proxy.destroy();
      await proxy.close();
      dialer.destroy();
    }
  },
});

type Line = CommandLine<typeof OPTIONS>;

function placeFrom(line: Line, defaultPort: number): HostAndPort {
  const text = line.text('listen');
  if (text === undefined) return { host: '127.0.0.1', port: defaultPort };
  if (/^\d+$/.test(text)) return { host: '127.0.0.1', port: integer('--listen', text, 0, 65535) };
  return hostAndPort('--listen', text, defaultPort, 0);
}

/** What the library says of options, in the words of the command line. */
function inOurWords(error: unknown): unknown {
  if (!(error instanceof InvalidOptionError) || error.option !== 'at.host') return error;
  const problem =
    'where other machines reach the proxy, whoever reaches it gets wherever the nodes get: give --proxy-user';
  return new UsageError(problem, { cause: error });
}

function proxyLoginFrom(line: Line): { username?: string; password?: string } {
  const [username, password] = [line.text('proxy-user'), line.secret('proxy-password')];
  if (username === undefined) return {};
  if (password) return { username, password };
  throw new UsageError('--proxy-user needs a password, in SOCKS_PROXY_PASSWORD');
}
