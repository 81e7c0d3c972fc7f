import { once } from 'node:events';
import http, { type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { nodesFile, tlsFiles, TunnelDialer, type NodeSource } from 'tunnel-dialer';
import { apiserverProxy, type ApiserverProxyOptions } from 'tunnel-dialer/apiserver';
import { statusHandler } from 'tunnel-dialer/http';
import { kubernetesNodes } from 'tunnel-dialer/kubernetes';
import { dialerMetrics } from 'tunnel-dialer/metrics';
import { loginFrom, read } from '../access.js';
import type { LOGIN_OPTIONS } from '../access-options.js';
import type { CommandLine, HostAndPort } from '../command-line.js';
import type { Surroundings } from '../command.js';
import { untilStopped } from '../until-stopped.js';
import { accessLog } from './access-log.js';
import type { Settings } from './arguments.js';
import { Front } from './front.js';
import { named } from './named.js';

/* What the command line calls options of the library. */
const PROXY_OPTIONS = {
  server: 'upstream',
  certificateAuthority: 'upstream-ca',
  tokenFile: 'upstream-token-file',
  clientCertificateAuthority: 'client-ca',
};
const KUBELET_FILES = {
  'tlsFiles().caFile': 'kubelet-ca',
  'tlsFiles().certFile': 'kubelet-cert',
  'tlsFiles().keyFile': 'kubelet-key',
};

/** Serves until it is told to stop; then what is under way may go on for a while. */
export async function serve(
  settings: Settings,
  line: CommandLine<typeof LOGIN_OPTIONS>,
  { errors, signal }: Surroundings,
): Promise<number> {
  const say = (text: string): void => void errors.write(`apiserver-proxy: ${text}\n`);
  // Which nodes there will be is not known yet, nor whether they tell host keys of their own.
  const ssh = loginFrom(line, [{ name: 'any', address: 'any' }]);
  const dialer = new TunnelDialer({ nodes: nodesOf(settings.nodes), ssh });
  dialer.on('source', ({ name, failure }) => {
    if (failure !== undefined) say(`${name}: ${failure.message}`);
  });
  try {
    const { server, caFile, tokenFile } = settings.upstream;
    const clientCa = read('client-ca', settings.clientCa);
    const proxy = named(PROXY_OPTIONS, () =>
      apiserverProxy(dialer, {
        upstream: { server, certificateAuthority: read('upstream-ca', caFile), tokenFile },
        kubelet: kubeletOptions(settings.kubelet),
        lookupsAs: settings.lookupsAs,
        clientCertificateAuthority: clientCa,
        onAnswer: settings.quiet ? undefined : accessLog(errors),
      }),
    );
    const front = new Front({ serving: settings.serving, clientCa }, proxy);
    const metrics = new Registry();
    dialerMetrics(dialer, { registry: metrics });
    const status = statusHandler(dialer, { metrics });
    const statusServer = await listening(status, settings.status);
    try {
      say(`https://${written(await front.listen(settings.listen))} stands in front of ${server}`);
      say(`http://${written(statusServer.address() as AddressInfo)} tells how the tunnels fare`);
      await untilStopped(signal).catch(() => undefined);
      const drained = front.drain(settings.drainMs);
      say(`stops; ${proxy.underWay} requests may go on for ${settings.drainMs / 1000} s`);
      await drained;
      dialer.destroy();
      // What was cut is told to the access log, too.
      await proxy.close();
    } finally {
      status.close();
      statusServer.close();
      statusServer.closeAllConnections();
    }
    return 0;
  } finally {
    dialer.destroy();
  }
}

function nodesOf(nodes: Settings['nodes']): NodeSource {
  return 'file' in nodes ? nodesFile(nodes.file) : kubernetesNodes(nodes);
}

function kubeletOptions({
  caFile,
  certificate,
  verifySubject,
  insecureSkipTlsVerify,
}: Settings['kubelet']): ApiserverProxyOptions['kubelet'] {
  const tls =
    caFile === undefined && certificate === undefined
      ? undefined
      : named(KUBELET_FILES, () => tlsFiles({ caFile, ...certificate }));
  return {
    tls,
    ...(insecureSkipTlsVerify ? { insecureSkipTLSVerify: true } : { verifySubject }),
  };
}

async function listening(handler: RequestListener, { host, port }: HostAndPort): Promise<Server> {
  const server = http.createServer(handler).listen(port, host);
  await once(server, 'listening');
  return server;
}

const written = ({ family, address, port }: AddressInfo): string =>
  family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
