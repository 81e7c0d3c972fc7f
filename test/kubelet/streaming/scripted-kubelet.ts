import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type WebSocket from 'ws';
import { WebSocketServer } from 'ws';
import type { KubeletAccess } from '../../../lib/kubelet/kubelet-access.js';
import { httpsAgent } from '../../../lib/http/index.js';
import { createAuthority } from '../../../lib/testing/index.js';
import { Stage } from '../../http/stage.js';
import { roundTrip } from '../../support/dialer.js';

const QUIET_ROUND_TRIPS = 50;

const authority = createAuthority('kubelet-ca');
const own = authority.issue({ commonName: 'system:node:node-1', altNames: ['127.0.0.1'] });

/** The kubelet's side of one stream, which a test plays. */
export class Peer {
  readonly ws: WebSocket;
  readonly request: IncomingMessage;
  /** Messages that have come, with their channel byte. */
  readonly messages: Buffer[] = [];
  readonly closed: Promise<number>;

  constructor(ws: WebSocket, request: IncomingMessage) {
    this.ws = ws;
    this.request = request;
    ws.on('error', () => undefined);
    ws.on('message', (data: Buffer) => this.messages.push(data));
    this.closed = new Promise((resolve) => ws.once('close', resolve));
  }

  /** Below the WebSocket. */
  get socket(): Socket {
    return this.request.socket;
  }

  /** What has come on a channel. */
  received(channel: number): string {
    const data = this.messages.filter(([first]) => first === channel).map((message) => message.subarray(1));
    return Buffer.concat(data).toString();
  }

  send(channel: number, data: string | Uint8Array = '', sent?: () => void): void {
    this.ws.send(Buffer.concat([Buffer.from([channel]), Buffer.from(data)]), sent);
  }

  status(status: object): void {
    this.send(3, JSON.stringify({ metadata: {}, ...status }));
  }

  /** As a kubelet ends: the last word, then a close. */
  exit(code: number): void {
    if (code === 0) this.status({ status: 'Success' });
    else {
      this.status({
        status: 'Failure',
        message: `command terminated with non-zero exit code: exit status ${code}`,
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
      });
    }
    this.ws.close(1000);
  }
}

/** A kubelet behind an SSH node that does what the test says, and the access to it. */
export class ScriptedKubelet {
  readonly stage: Stage;
  readonly access: KubeletAccess;
  /** Which subprotocols it knows. */
  protocols: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
  /** Answers an upgrade in place of a WebSocket. */
  refuse: ((socket: Duplex) => void) | undefined;
  /** What it does with each stream. */
  script: (peer: Peer) => void = () => undefined;
  readonly #waiting: ((peer: Peer) => void)[] = [];

  private constructor(stage: Stage, access: KubeletAccess) {
    this.stage = stage;
    this.access = access;
  }

  static async start(): Promise<ScriptedKubelet> {
    const stage = await Stage.start();
    const serving = { cert: own.certificate, key: own.privateKey };
    const { server, port } = await stage.https(serving, (_request, response) => response.end());
    const kubelet = new ScriptedKubelet(stage, {
      node: 'node-1',
      host: '127.0.0.1',
      port,
      timeoutMs: 30_000,
      agent: stage.using(httpsAgent(stage.recorder, { ca: authority.certificate })),
      headers: () => Promise.resolve({ Authorization: 'Bearer secret' }),
    });
    const upgrader = new WebSocketServer({
      noServer: true,
      maxPayload: 64 * 1024,
      handleProtocols: (offered) => [...offered].find((each) => kubelet.protocols.includes(each)) ?? false,
    });
    const sockets = new Set<Duplex>();
    stage.onEnd(() => {
      for (const socket of sockets) socket.destroy();
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
      if (kubelet.refuse !== undefined) kubelet.refuse(socket);
      else upgrader.handleUpgrade(request, socket, head, (ws) => kubelet.#serve(new Peer(ws, request)));
    });
    return kubelet;
  }

  /** The kubelet's side of the next stream. */
  next(): Promise<Peer> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Waits until a count has not moved for so long as many round trips over the same connection take: what could move it would have come. */
  async still(count: () => number): Promise<void> {
    const echo = await this.stage.endpoint();
    const sibling = await this.stage.recorder.dial('127.0.0.1', echo.port);
    for (let quiet = 0, before = -1; quiet < QUIET_ROUND_TRIPS; quiet += 1) {
      await roundTrip(sibling);
      if (count() !== before) quiet = 0;
      before = count();
    }
    sibling.destroy();
    await echo.close();
  }

  end(): Promise<void> {
    return this.stage.end();
  }

  #serve(peer: Peer): void {
    this.script(peer);
    this.#waiting.shift()?.(peer);
  }
}

/** Answers an upgrade with a status and a text, as golang.org/x/net/websocket does. */
export const answer =
  (status: string, text: string) =>
  (socket: Duplex): void =>
    void socket.end(`HTTP/1.1 ${status}\r\n\r\n${text}`);
