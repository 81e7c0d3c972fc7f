import { EventEmitter, on, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { KeyAndCertificate } from 'tunnel-dialer/testing';

interface Line {
  readonly time: Date;
  readonly text: string;
}

/** What a container has printed so far, and prints from now on. */
export class ContainerLog {
  readonly lines: Line[] = [];
  readonly #printed = new EventEmitter<{ line: [Line] }>();

  print(text: string, time = new Date()): void {
    const line = { time, text };
    this.lines.push(line);
    this.#printed.emit('line', line);
  }

  /** Lines as they are printed, until the signal. */
  async *following(signal: AbortSignal): AsyncGenerator<Line> {
    for await (const [line] of on(this.#printed, 'line', { signal })) yield line as Line;
  }
}

export interface DemoKubeletOptions {
  readonly serving: KeyAndCertificate;
  /** Authority of the client certificates that it accepts. */
  readonly clientCa: string;
  /** A bearer token that it accepts. */
  readonly token?: string | undefined;
  /** By `namespace/pod/container`. */
  readonly logs: Readonly<Record<string, ContainerLog>>;
}

export interface DemoKubelet extends AsyncDisposable {
  readonly port: number;
}

/**
 * An HTTPS server with a kubelet's `/containerLogs` behind the checks that a kubelet makes
 * (k8s.io/kubernetes, pkg/kubelet/server/server.go).
 */
export async function startDemoKubelet(options: DemoKubeletOptions): Promise<DemoKubelet> {
  const { certificate: cert, privateKey: key } = options.serving;
  // As a kubelet does: an unknown client is told so by HTTP, not by a broken handshake.
  const client = { requestCert: true, rejectUnauthorized: false, ca: options.clientCa };
  const server = createServer({ cert, key, ...client }, (request, response) => {
    answer(options, request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  { token, logs }: DemoKubeletOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isCertified = request.socket instanceof TLSSocket && request.socket.authorized;
  const hasToken = token !== undefined && request.headers.authorization === `Bearer ${token}`;
  if (!isCertified && !hasToken) {
    refuse(response, 401, 'Unauthorized');
    return;
  }
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://kubelet');
  const [, root, ...names] = pathname.split('/').map(decodeURIComponent);
  const [namespace = '', pod = '', container = ''] = names;
  const log = logs[names.join('/')];
  const isPodKnown = Object.keys(logs).some((name) => name.startsWith(`${namespace}/${pod}/`));
  if (root !== 'containerLogs' || names.length !== 3) refuse(response, 404, '404 page not found');
  else if (!isPodKnown) refuse(response, 404, `pod "${pod}" does not exist`);
  else if (log === undefined) refuse(response, 404, `container "${container}" not found in pod "${pod}"`);
  else await send(log, searchParams, response);
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

async function send(log: ContainerLog, query: URLSearchParams, response: ServerResponse): Promise<void> {
  const write = ({ time, text }: Line): void => {
    response.write(query.has('timestamps') ? `${time.toISOString()} ${text}\n` : `${text}\n`);
  };
  const sinceSeconds = query.get('sinceSeconds');
  const oldest = sinceSeconds === null ? 0 : Date.now() - Number(sinceSeconds) * 1000;
  const recent = log.lines.filter(({ time }) => time.getTime() >= oldest);
  const tailLines = query.get('tailLines');
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  recent.slice(tailLines === null ? 0 : Math.max(0, recent.length - Number(tailLines))).forEach(write);
  if (query.get('follow') === 'true') {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    for await (const line of log.following(gone.signal)) write(line);
  }
  response.end();
}
