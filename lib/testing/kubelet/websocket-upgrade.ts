import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import { Refusal } from './answers.js';
import type { Channels } from './channels.js';
import type { ProtocolVersion } from './options.js';
import { WebSocketChannels } from './websocket-channels.js';

/** A message as big as golang.org/x/net/websocket takes. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** Makes WebSockets of upgrade requests. */
export class WebSocketUpgrade {
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
  }

  /** @throws Error when the package `ws` is not installed */
  static async load(): Promise<WebSocketUpgrade> {
    // eslint-disable-next-line no-restricted-syntax -- an optional peer, which only this needs
    const { WebSocketServer } = await import('ws').catch((cause: unknown) => {
      throw new Error('startKubelet needs the package ws; npm install --save-dev ws', { cause });
    });
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: true,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handleProtocols: (_offered, request) => chosen.get(request) ?? false,
    });
    return new WebSocketUpgrade(server);
  }

  /**
   * Takes the first protocol on the client's list that is known here.
   *
   * @throws {@link Refusal} 403 without a word when there is none, as golang.org/x/net/websocket has it
   */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    versions: readonly ProtocolVersion[],
    take: (channels: Channels) => void,
  ): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const names = new Map(versions.map((version) => [nameOf(version), version]));
    const name = offered.find((candidate) => names.has(candidate));
    const version = name === undefined ? undefined : names.get(name);
    if (name === undefined || version === undefined) throw new Refusal(403, '');
    chosen.set(request, name);
    this.#server.handleUpgrade(request, socket, head, (webSocket) =>
      take(new WebSocketChannels(webSocket, version)),
    );
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}

/** The first version has no number in its name (k8s.io/kubelet, pkg/cri/streaming/remotecommand/websocket.go). */
const nameOf = (version: ProtocolVersion): string =>
  version === 'v1' ? 'channel.k8s.io' : `${version}.channel.k8s.io`;

const chosen = new WeakMap<IncomingMessage, string>();
