import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import { connect } from 'node:tls';
import type { Kubelet } from '../../lib/testing/index.js';

/** What the kubelet calls the options of a stream that the API server calls otherwise (k8s.io/api, core/v1: `ExecStdinParam` and its like). */
const FLAGS = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' };

/** Hands exec, attach and port-forward on to a kubelet, as an API server does: as a relay of bytes, under the kubelet's own names. */
export function relayUpgrades(server: Server, kubelet: Kubelet): void {
  server.on('upgrade', (request: IncomingMessage, client, head: Buffer) => {
    const { host, port, certificateAuthority: ca } = kubelet;
    const backend = connect({ host, port, ca });
    backend.write(requestHead(request, kubelet.token));
    backend.write(head);
    client.pipe(backend).pipe(client);
    client.on('error', () => backend.destroy()).on('close', () => backend.destroy());
    backend.on('error', () => client.destroy()).on('close', () => client.destroy());
  });
}

/** The head of the request, for the kubelet's path and with a token that the kubelet takes. */
function requestHead({ url = '', rawHeaders }: IncomingMessage, token: string): string {
  const lines = [`GET ${kubeletPath(url)} HTTP/1.1`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index);
    if (name.toLowerCase() !== 'authorization') lines.push(`${name}: ${value}`);
  }
  return `${lines.join('\r\n')}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
}

function kubeletPath(url: string): string {
  const { pathname, searchParams: asked } = new URL(url, 'https://api');
  const [, namespace = '', pod = '', kind = ''] =
    /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(\w+)$/.exec(pathname) ?? [];
  if (kind === 'portforward') return `/portForward/${namespace}/${pod}?port=${asked.get('ports') ?? ''}`;
  const query = new URLSearchParams();
  for (const word of asked.getAll('command')) query.append('command', word);
  for (const [name, flag] of Object.entries(FLAGS)) if (asked.get(name) === 'true') query.set(flag, '1');
  return `/${kind}/${namespace}/${pod}/${asked.get('container') ?? ''}?${query.toString()}`;
}
