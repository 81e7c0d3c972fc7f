import { createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import { generateKeyPair } from '../../lib/testing/keys.js';
import type { SshTarget } from '../../lib/ssh/handshake.js';
import type { Lab } from './dialer.js';
import { Credentials } from '../../lib/ssh/login/credentials.js';

/** What a channel open is answered with. */
export interface RawOpen {
  readonly client: Connection;
  /** The server's end of the TCP connection. */
  readonly socket: Socket;
  readonly accept: () => ServerChannel;
  readonly reject: () => void;
}

/** ssh2's protocol engine, below what ssh2 shows. */
export interface RawProtocol {
  readonly _handlers: { REQUEST_FAILURE: () => void };
  disconnect(reason: number): void;
  /** A global request that wants an answer. */
  ping(): void;
  channelExtData(recipient: number, data: Buffer, type: number): void;
  channelOpenConfirm(recipient: number, sender: number, window: number, packetBytes: number): void;
}

export const protocolOf = (client: Connection): RawProtocol =>
  (client as unknown as { readonly _protocol: RawProtocol })._protocol;

/** Lets nothing leave before `act` is over, so that all it sends arrives in one piece. */
export function inOnePiece(socket: Socket, act: () => void): void {
  socket.cork();
  act();
  // ssh2 may send more in this very turn.
  process.nextTick(() => socket.uncork());
}

/** A server that lets everybody in and answers channel opens as it is told, for what no honest node would do. */
export async function startRawSshServer(lab: Lab, onOpen: (open: RawOpen) => void): Promise<SshTarget> {
  const { privateKey } = generateKeyPair('ed25519');
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    const ssh = new ssh2.Server({ hostKeys: [privateKey] });
    ssh.on('connection', (client) => {
      client.on('error', () => undefined);
      client.on('authentication', (attempt) => attempt.accept());
      client.on('tcpip', (accept, reject) => onOpen({ client, socket, accept, reject }));
    });
    ssh.injectSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lab.onEnd(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    node: 'raw',
    host: { names: ['127.0.0.1'], port: (server.address() as AddressInfo).port },
    username: 'tunnel',
    credentials: new Credentials({ privateKey: generateKeyPair('ed25519').privateKey }),
    hostKeys: { keyTypes: () => undefined, verify: () => ({ verdict: 'accepted' }) },
    connectMs: 10_000,
  };
}
