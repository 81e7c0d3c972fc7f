import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { nodesFile, TunnelDialer, type NodeSource } from 'tunnel-dialer';
import { apiserverProxy, type ApiserverProxyOptions } from 'tunnel-dialer/apiserver';
import { kubernetesNodes } from 'tunnel-dialer/kubernetes';
import { loginFrom } from '../access.js';
import type { LOGIN_OPTIONS } from '../access-options.js';
import type { CommandLine } from '../command-line.js';
import type { Surroundings } from '../command.js';
import { untilStopped } from '../until-stopped.js';
import { accessLog } from './access-log.js';
import { Front } from './front.js';
import { named } from './named.js';
import type { Settings } from './settings.js';
import { StatusSite } from './status-site.js';
import { watchedFiles } from './watched-files.js';

/* What the command line calls options of the library. */
const PROXY_OPTIONS = {
  'upstream.server': 'upstream',
  'upstream.tokenFile': 'upstream-token-file',
  clientCertificateAuthority: 'client-ca',
};
const NODES_OPTIONS = {
  'cluster.server': 'upstream',
  'bastions[0].name': 'bastion',
  'bastions[1].name': 'bastion',
};
const SERVING_FILES = { certFile: 'tls-cert', keyFile: 'tls-key' };
const CLIENT_FILES = { caFile: 'client-ca' };
const UPSTREAM_FILES = {
  caFile: 'upstream-ca',
  certFile: 'upstream-client-certificate',
  keyFile: 'upstream-client-key',
};
const KUBELET_FILES = { caFile: 'kubelet-ca', certFile: 'kubelet-cert', keyFile: 'kubelet-key' };

type Say = (text: string) => void;

/** Serves until it is told to stop; then what is under way may go on for a while. */
export async function serve(
  settings: Settings,
  line: CommandLine<typeof LOGIN_OPTIONS>,
  { errors, signal }: Surroundings,
): Promise<number> {
  const { serving, clientCa: clientCaFile, lookupsAs, quiet } = settings;
  const say: Say = (text) => void errors.write(`apiserver-proxy: ${text}\n`);
  const { server, caFile, ...own } = settings.upstream;
  const certificate = 'certFile' in own ? own : undefined;
  const tokenFile = 'tokenFile' in own ? own.tokenFile : undefined;
  const clientCa =
    clientCaFile === undefined ? undefined : watchedFiles(CLIENT_FILES, { caFile: clientCaFile }, say);
  // Which nodes there will be is not known yet, nor whether they tell host keys of their own.
  const ssh = loginFrom(line, [{ name: 'any', address: 'any' }]);
  const dialer = new TunnelDialer({ nodes: named(NODES_OPTIONS, () => nodesOf(settings)), ssh });
  let lastFailure: string | undefined;
  dialer.on('source', ({ name, failure }) => {
    // It is tried again and again, and once is enough.
    if (failure !== undefined && failure.message !== lastFailure)
      say(`${name}: ${failure.message}${adviceOn(failure.message, settings.nodes)}`);
    lastFailure = failure?.message;
  });
  try {
    const upstreamTls = watchedFiles(UPSTREAM_FILES, { caFile, ...certificate }, say);
    const proxy = named(PROXY_OPTIONS, () =>
      apiserverProxy(dialer, {
        upstream: { server, tls: upstreamTls, tokenFile },
        kubelet: kubeletOptions(settings.kubelet, say),
        lookupsAs,
        clientCertificateAuthority: clientCa,
        onAnswer: quiet ? undefined : accessLog(errors),
      }),
    );
    const front = new Front({ serving: watchedFiles(SERVING_FILES, serving, say), clientCa }, proxy);
    const status = new StatusSite(dialer);
    try {
      const at = written(await status.listen(settings.status));
      say(`https://${written(await front.listen(settings.listen))} stands in front of ${server}`);
      say(`http://${at} tells how the tunnels fare`);
      await untilStopped(signal).catch(() => undefined);
      status.stopping();
      if (settings.shutdownDelayMs > 0) {
        say(`is told to stop; serves for another ${settings.shutdownDelayMs / 1000} s, and is not ready`);
        await delay(settings.shutdownDelayMs);
      }
      const drained = front.drain(settings.drainMs);
      say(`stops; ${proxy.underWay} requests may go on for ${settings.drainMs / 1000} s`);
      await drained;
      dialer.destroy();
      // What was cut is told to the access log, too.
      await proxy.close();
    } finally {
      status.close();
    }
    return 0;
  } finally {
    dialer.destroy();
  }
}

function nodesOf({ nodes, upstream }: Settings): NodeSource {
  if (nodes.kind === 'file') return nodesFile(nodes.file);
  const { kubeconfig, context, annotations, bastions } = nodes;
  const place = kubeconfig === undefined ? { cluster: upstream } : { kubeconfig, context };
  return kubernetesNodes({ ...place, annotations, bastions });
}

/** What the library cannot know: the names of our options. */
function adviceOn(failure: string, nodes: Settings['nodes']): string {
  if (nodes.kind === 'file' || nodes.kubeconfig !== undefined) return '';
  if (/certificate|altnames/i.test(failure)) return '; --upstream-ca takes the authority of its certificate';
  if (/ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT/.test(failure))
    return '; is it up, and at --upstream? It is tried again';
  return '';
}

function kubeletOptions(
  { caFile, certificate, verifySubject, insecureSkipTlsVerify, addressTypes }: Settings['kubelet'],
  say: Say,
): ApiserverProxyOptions['kubelet'] {
  const tls =
    caFile === undefined && certificate === undefined
      ? undefined
      : watchedFiles(KUBELET_FILES, { caFile, ...certificate }, say);
  return {
    tls,
    addressTypes,
    ...(insecureSkipTlsVerify ? { insecureSkipTLSVerify: true } : { verifySubject }),
  };
}

const written = ({ family, address, port }: AddressInfo): string =>
  family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
