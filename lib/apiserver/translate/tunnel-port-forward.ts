import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { UpgradeExchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { ClientGoneError } from '../upgrade/attempt.js';
import type { UpgradeRelay } from '../upgrade/relay-upgrade.js';
import { ClientWebSocket, offeredSubprotocols } from './client-web-socket.js';
import { openSpdy } from './open-spdy.js';

const PREFIX = 'SPDY/3.1+';

/** Whether a WebSocket is asked for as a tunnel for SPDY/3.1, as kubectl from 1.31 on does for a port-forward. */
export function isTunnelled(request: UpgradeExchange['request']): boolean {
  return offeredSubprotocols(request).some((name) => name.startsWith(PREFIX));
}

/**
 * Carries the bytes of SPDY/3.1 between a client's WebSocket (`SPDY/3.1+portforward.k8s.io`) and a kubelet that is asked for SPDY/3.1 itself
 * (apiserver, pkg/util/proxy/streamtunnel.go): whatever the kubelet's version, and without a further attempt of the client's. Settles as
 * `relayUpgrade`, which takes the same.
 *
 * @throws {@link StatusError} 400 `unable to upgrade: no tunneling spdy protocols provided`; as `relayUpgrade`
 */
export async function tunnelPortForward(relay: UpgradeRelay): Promise<void> {
  const { upgrade, signal, onAnswer } = relay;
  const protocols = offeredSubprotocols(upgrade.request)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length));
  if (protocols.length === 0) {
    throw new StatusError(400, 'BadRequest', 'unable to upgrade: no tunneling spdy protocols provided');
  }
  ClientWebSocket.judge(upgrade);
  const opened = await openSpdy(relay, protocols);
  if (opened === undefined) return;
  const { socket } = opened;
  let client: ClientWebSocket;
  try {
    client = await ClientWebSocket.accept(upgrade, `${PREFIX}${opened.protocol}`, signal);
  } catch (error) {
    socket.destroy();
    if (error instanceof ClientGoneError) return;
    throw error;
  }
  onAnswer?.(101);
  await carry(client, socket);
}

async function carry(client: ClientWebSocket, kubelet: Duplex): Promise<void> {
  client.onMessage((bytes, isBinary) => {
    if (!isBinary) client.terminate();
    else if (kubelet.writable && !kubelet.write(bytes)) client.pause();
  });
  kubelet.on('drain', () => client.resume());
  void client.closed.then(() => kubelet.destroy());
  try {
    for await (const chunk of kubelet as AsyncIterable<Buffer>) await client.send(chunk);
    await client.close();
  } catch {
    // The kubelet was lost: no clean end.
    client.terminate();
  }
  kubelet.destroy();
  await client.closed;
  if (!kubelet.closed) await once(kubelet, 'close').catch(() => undefined);
}
