import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http, { type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nodesFile, tlsFiles, TunnelDialer, type NodeSource } from 'tunnel-dialer';
import { apiserverProxy, type ApiserverProxyOptions } from 'tunnel-dialer/apiserver';
import { statusHandler } from 'tunnel-dialer/http';
import { kubernetesNodes } from 'tunnel-dialer/kubernetes';
import { loginFrom } from '../access.js';
import type { LOGIN_OPTIONS } from '../access-options.js';
import type { CommandLine, HostAndPort } from '../command-line.js';
import type { Surroundings } from '../command.js';
import { untilStopped } from '../until-stopped.js';
import { accessLog } from './access-log.js';
import type { Settings } from './arguments.js';
import { Front } from './front.js';

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
  try {
    const { server, caFile, tokenFile } = settings.upstream;
    const proxy = apiserverProxy(dialer, {
      upstream: { server, certificateAuthority: readFileSync(caFile), tokenFile },
      kubelet: kubeletOptions(settings.kubelet),
      lookupsAs: settings.lookupsAs,
      onAnswer: settings.quiet ? undefined : accessLog(errors),
    });
    const front = new Front(settings, proxy);
    const status = statusHandler(dialer);
    const statusServer = await listening(status, settings.status);
    say(`https://${written(await front.listen(settings.listen))} stands in front of ${server}`);
    say(`http://${written(statusServer.address() as AddressInfo)} tells how the tunnels fare`);
    await untilStopped(signal).catch(() => undefined);
    say(`stops; ${proxy.underWay} requests may go on for ${settings.drainMs / 1000} s`);
    await front.drain(settings.drainMs);
    status.close();
    statusServer.close();
    statusServer.closeAllConnections();
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
    caFile === undefined && certificate === undefined ? undefined : tlsFiles({ caFile, ...certificate });
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
