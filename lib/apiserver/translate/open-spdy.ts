import type { Duplex } from 'node:stream';
import { ClientGoneError } from '../upgrade/attempt.js';
import { membersOf } from '../upgrade/is-upgrade.js';
import { nodeBound } from '../upgrade/node-bound.js';
import { openUpgrade } from '../upgrade/open-upgrade.js';
import { relayAnswer } from '../upgrade/relay-answer.js';
import type { UpgradeRelay } from '../upgrade/relay-upgrade.js';
import { StatusError } from '../status-error.js';

/** A connection on which SPDY/3.1 is spoken from here on, with what the kubelet has said already. */
export interface OpenedSpdy {
  readonly socket: Duplex;
  /** What it has chosen to stream by. */
  readonly protocol: string;
}

const END = '\r\n\r\n';

/**
 * Asks a kubelet for SPDY/3.1 in place of the WebSocket that the client asks for. `undefined`: the kubelet has refused, and the client has been
 * told so, or has gone.
 *
 * @throws {@link StatusError} as `relayUpgrade`; the signal's reason
 */
export async function openSpdy(
  relay: UpgradeRelay,
  protocols: readonly string[],
): Promise<OpenedSpdy | undefined> {
  const { upgrade, backend, path, clientAddress, signal, answerTimeoutMs } = relay;
  const { request, socket: client } = upgrade;
  client.on('error', () => undefined); // 'close' follows
  request.socket.setTimeout(0);
  request.socket.setNoDelay(true);
  if (upgrade.head.length > 0) client.unshift(upgrade.head);
  client.read(0); // unless it is being read, nothing tells that it has gone
  const bytes = Buffer.from(
    headOf(relay, nodeBound(request, path, clientAddress).added, protocols),
    'latin1',
  );
  const head = { method: 'POST', bytes, bodyBytes: 0 };
  const connect = (given: AbortSignal): Promise<Duplex> => backend.connect(given);
  // The 101 is ours to give.
  const onAnswer = (status: number): void => (status === 101 ? undefined : relay.onAnswer?.(status));
  try {
    const opened = await openUpgrade({ upgrade, head, connect, signal, answerTimeoutMs, onAnswer });
    if (opened.isUpgraded) return accepted(opened.backend, opened.received, protocols);
    request.resume();
    await relayAnswer(client, opened.backend, opened.reply, opened.body);
  } catch (error) {
    request.resume();
    if (!(error instanceof ClientGoneError)) throw error;
    client.destroy();
  }
  return undefined;
}

/** What is in the client's head is about WebSocket or identity; the kubelet needs none of it. */
function headOf(
  { backend, path }: UpgradeRelay,
  added: readonly (readonly [string, string])[],
  protocols: readonly string[],
): string {
  if (!/^\/[\x21-\x7e]*$/.test(path))
    throw new StatusError(400, 'BadRequest', 'the path of the upgrade request is malformed');
  const fields = [
    ['Host', backend.authority],
    ...added,
    ['Content-Length', '0'],
    ['Upgrade', 'SPDY/3.1'],
    // A line for each: older kubelets do not take lists apart.
    ...protocols.map((protocol) => ['X-Stream-Protocol-Version', protocol]),
    ['Connection', 'Upgrade'],
  ];
  const lines = fields.map(([name = '', value = '']) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** @throws {@link StatusError} 500 */
function accepted(socket: Duplex, received: Buffer, protocols: readonly string[]): OpenedSpdy {
  const end = received.indexOf(END) + END.length;
  const lines = received.toString('latin1', 0, end).split('\r\n').slice(1);
  const fields = new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  );
  // A kubelet that names none means the only one, or the oldest.
  const protocol =
    fields.get('x-stream-protocol-version') ?? (protocols.length === 1 ? protocols[0] : undefined);
  const isSpdy = membersOf(fields.get('upgrade') ?? '').some((name) => name.toLowerCase() === 'spdy/3.1');
  if (!isSpdy || protocol === undefined || !protocols.includes(protocol)) {
    socket.destroy();
    const problem = 'invalid upgrade response: the kubelet speaks another protocol than it was asked for';
    throw new StatusError(500, '', problem);
  }
  if (end < received.length) socket.unshift(received.subarray(end));
  return { socket, protocol };
}
