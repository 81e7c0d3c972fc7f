import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { PacketCounter } from './packet-counter.js';

/** What has gone over the wire of all connections, in one direction. */
export interface Traffic {
  readonly bytes: number;
  readonly packets: number;
}

/** A TCP relay before an SSH server that counts what it carries. */
export interface CountingRelay {
  readonly port: number;
  /** To the server. */
  up(): Traffic;
  /** To the client. */
  down(): Traffic;
  close(): Promise<void>;
}

/** Starts a relay on loopback to a server there. */
export async function startCountingRelay(serverPort: number): Promise<CountingRelay> {
  const ups: PacketCounter[] = [];
  const downs: PacketCounter[] = [];
  const sockets = new Set<Socket>();

  const carry = (from: Socket, to: Socket, counters: PacketCounter[]): void => {
    const counter = new PacketCounter();
    counters.push(counter);
    sockets.add(from);
    from.on('data', (chunk) => counter.add(chunk));
    from.once('close', () => to.destroy());
    from.on('error', () => to.destroy());
    from.pipe(to);
  };

  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host: '127.0.0.1', port: serverPort, noDelay: true });
    carry(client, server, ups);
    carry(server, client, downs);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    up: () => sum(ups),
    down: () => sum(downs),
    close: async () => {
      const closed = once(listener, 'close');
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function sum(counters: readonly PacketCounter[]): Traffic {
  return counters.reduce(
    (total, { bytes, packets }) => ({ bytes: total.bytes + bytes, packets: total.packets + packets }),
    { bytes: 0, packets: 0 },
  );
}
