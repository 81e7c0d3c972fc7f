import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { undiciConnector, type UndiciConnectorOptions } from 'tunnel-dialer/http';
import { Agent, fetch, type Response } from 'undici';
import { environmentHelp, NODE_HELP, NODE_OPTIONS } from './access-options.js';
import { createDialer, loginFrom, nodeFrom, read } from './access.js';
import { UsageError, type CommandLine } from './command-line.js';
import { command } from './command.js';
import { startSite, startStage } from './demo-stage.js';
import { reportingDialer } from './reporting.js';

const DEMO_URL = 'http://cart.shop.svc.cluster.local/';

const HELP = `Usage: fetch-through-node --node ADDRESS [options] URL
       fetch-through-node --demo

Fetches a URL as a node sees it: a pod, a service, a name that only the cluster's DNS knows.
Prints the body. Redirects are followed, through the node as well.

  --demo                     fetch ${DEMO_URL}
                             through a node that is started in this process

The node
${NODE_HELP}\

The request
  -X, --request METHOD       (default: GET, or POST with --data)
  -H, --header 'NAME: VALUE' as often as needed
  -d, --data TEXT            what is sent
  -i, --include              print the status and the headers of the answer, too
      --ca FILE              authority that signed the certificate of an https:// URL
      --cert FILE            your certificate, with ...
      --client-key FILE      ... its key
      --insecure-skip-tls-verify
                             do not ask who answers

  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

${environmentHelp('FETCH_THROUGH_NODE')}
Example
    fetch-through-node --node 10.0.0.11 --user tunnel http://10.244.1.17:8080/healthz

Exit codes: 0 fetched; 1 failed, or the answer's status is 400 or above; 2 wrong usage;
130 ended by Ctrl-C.
`;

const OPTIONS = {
  ...NODE_OPTIONS,
  demo: { type: 'boolean' },
  request: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true },
  data: { type: 'string', short: 'd' },
  include: { type: 'boolean', short: 'i' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  'client-key': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean' },
  verbose: { type: 'boolean', short: 'v' },
} as const;

type Line = CommandLine<typeof OPTIONS>;

/** Prints what a URL answers through a node. */
export const fetchThroughNode = command({
  name: 'fetch-through-node',
  help: HELP,
  options: OPTIONS,
  hints: {
    peer: 'the server',
    endpoint: 'is there such an endpoint, as seen from the node?',
    cut: 'what was printed is not all',
  },
  async run(line, { output, errors, signal }) {
    const report = (text: string): void => {
      if (line.flag('verbose')) errors.write(`# ${text}\n`);
    };
    const isDemo = line.flag('demo');
    const url = urlFrom(line.words, isDemo ? DEMO_URL : undefined);
    await using site = isDemo ? await startSite('3 × crème brûlée, paid\n') : undefined;
    await using stage = site && (await startStage({ endpoints: { 'cart.shop.svc.cluster.local:80': site } }));
    const nodes = stage?.access.nodes ?? [nodeFrom(line)];
    const ssh = stage?.access.ssh ?? loginFrom(line, nodes);

    await using dialer = createDialer({ nodes, ssh }, report);
    const connect = undiciConnector(reportingDialer(dialer, report), { ...tlsFrom(line), signal });
    await using agent = closing(new Agent({ connect, bodyTimeout: 0 }));
    const body = line.text('data') ?? null;
    const response = await fetch(url, {
      dispatcher: agent.dispatcher,
      signal,
      method: line.text('request') ?? (body === null ? 'GET' : 'POST'),
      headers: headersFrom(line.texts('header')),
      body,
    });
    if (line.flag('include')) output.write(headOf(response));
    if (response.body !== null)
      await pipeline(Readable.fromWeb(response.body), output, { signal, end: false });
    if (response.status < 400) return 0;
    throw new Error(`the server answered ${response.status} ${response.statusText}`.trim());
  },
});

/** The agent is done with when we are: what it still has open is of no use. */
function closing(dispatcher: Agent): AsyncDisposable & { readonly dispatcher: Agent } {
  return { dispatcher, [Symbol.asyncDispose]: () => dispatcher.destroy() };
}

function urlFrom([given, ...more]: readonly string[], otherwise: string | undefined): URL {
  const text = given ?? otherwise;
  if (text === undefined || more.length > 0) throw new UsageError('one URL is needed, and nothing else');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new UsageError(`the URL must begin with http:// or https://, got ${JSON.stringify(text)}`);
}

function tlsFrom(line: Line): UndiciConnectorOptions {
  return {
    ca: read('ca', line.text('ca')),
    cert: read('cert', line.text('cert')),
    key: read('client-key', line.text('client-key')),
    rejectUnauthorized: !line.flag('insecure-skip-tls-verify'),
  };
}

function headersFrom(lines: readonly string[]): [string, string][] {
  return lines.map((text) => {
    const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):\s*(.*)$/.exec(text) ?? [];
    if (name !== undefined && value !== undefined) return [name, value];
    throw new UsageError(`--header must be 'NAME: VALUE', got ${JSON.stringify(text)}`);
  });
}

function headOf({ status, statusText, headers }: Response): string {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
  return [`${status} ${statusText}`.trim(), ...lines, '', ''].join('\n');
}
