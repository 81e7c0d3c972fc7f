import { once } from 'node:events';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Kubelet } from '../../../lib/testing/index.js';

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const bearer = (kubelet: Kubelet): { authorization: string } => ({
  authorization: `Bearer ${kubelet.token}`,
});

/** A request, with a token unless the options say otherwise, up to its answer. */
export async function ask(
  kubelet: Kubelet,
  path: string,
  options: https.RequestOptions = {},
): Promise<Answer> {
  const response = await open(kubelet, path, options);
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

/** Up to the header of its answer. */
export async function open(
  kubelet: Kubelet,
  path: string,
  options: https.RequestOptions = {},
): Promise<IncomingMessage> {
  const { host, port, certificateAuthority: ca } = kubelet;
  const request = https.request({ host, port, path, ca, agent: false, headers: bearer(kubelet), ...options });
  const [response] = (await once(request.end(), 'response')) as [IncomingMessage];
  return response;
}

/** A WebSocket as a client of exec, attach or port-forward has it. */
export class Wire {
  readonly socket: WebSocket;
  /** What came so far, by channel. */
  readonly received = new Map<number, Buffer[]>();
  /** Channels in the order in which their messages came. */
  readonly order: number[] = [];
  /** The code of its close. */
  readonly closed: Promise<number>;

  constructor(kubelet: Kubelet, path: string, protocols: string | string[] = 'v5.channel.k8s.io') {
    const { host, port, certificateAuthority: ca } = kubelet;
    this.socket = new WebSocket(`wss://${host}:${port}${path}`, protocols, { ca, headers: bearer(kubelet) });
    this.closed = once(this.socket, 'close').then(([code]) => code as number);
    this.socket.on('error', () => undefined);
    this.socket.on('message', (message: Buffer) => {
      const [channel = 0] = message;
      this.order.push(channel);
      const chunks = this.received.get(channel) ?? [];
      chunks.push(message.subarray(1));
      this.received.set(channel, chunks);
    });
  }

  /** Resolves when the kubelet has taken it. */
  async opened(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  /** The answer in place of an upgrade. */
  async refused(): Promise<Answer> {
    const [, response] = (await once(this.socket, 'unexpected-response')) as [unknown, IncomingMessage];
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  }

  send(channel: number, data: Buffer | string): Promise<void> {
    return new Promise((resolve) => {
      this.socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(data)]), () => resolve());
    });
  }

  /** Ends a channel, as v5 can. */
  end(channel: number): void {
    this.socket.send(Buffer.of(255, channel));
  }

  bytes(channel: number): Buffer {
    return Buffer.concat(this.received.get(channel) ?? []);
  }

  length(channel: number): number {
    return (this.received.get(channel) ?? []).reduce((sum, { length }) => sum + length, 0);
  }

  text(channel: number): string {
    return this.bytes(channel).toString();
  }

  /** Resolves when a channel has given what matches. */
  async until(channel: number, expected: RegExp): Promise<string> {
    while (!expected.test(this.text(channel))) await once(this.socket, 'message');
    return this.text(channel);
  }

  /** What the error channel says at the end. */
  async status(): Promise<Record<string, unknown>> {
    await this.closed;
    return JSON.parse(this.text(3)) as Record<string, unknown>;
  }
}

/** The path of an exec. */
export function execPath(
  command: readonly string[],
  streams = 'output=1&error=1',
  where = 'web/app',
): string {
  const words = command.map((word) => `command=${encodeURIComponent(word)}`);
  return `/exec/default/${where}?${[streams, ...words].join('&')}`;
}

/** Resolves with a figure that has stopped changing: it stays the same for as long as many requests take. */
export async function settled(kubelet: Kubelet, figure: () => number): Promise<number> {
  let before = NaN;
  while (before !== figure()) {
    before = figure();
    for (let count = 0; count < 50; count += 1) await ask(kubelet, '/healthz');
  }
  return before;
}
