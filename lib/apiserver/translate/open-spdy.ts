import type { Duplex } from 'node:stream';
import { ClientGoneError } from '../upgrade/attempt.js';
import { membersOf } from '../upgrade/is-upgrade.js';
import { nodeBound } from '../upgrade/node-bound.js';
import { openUpgrade } from '../upgrade/open-upgrade.js';
import { prepare } from '../upgrade/prepare.js';
import { relayAnswer } from '../upgrade/relay-answer.js';
import type { UpgradeRelay } from '../upgrade/relay-upgrade.js';
import type { ReplyHead } from '../upgrade/reply-head.js';
import { StatusError } from '../status-error.js';

/** A connection on which SPDY/3.1 is spoken from here on, with what the kubelet has said already. */
export interface OpenedSpdy {
  readonly socket: Duplex;
  /** What it has chosen to stream by. */
  readonly protocol: string;
}

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
  prepare(upgrade);
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
    if (opened.isUpgraded) return accepted(opened.backend, opened.reply, protocols);
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
function accepted(socket: Duplex, { fields, rest }: ReplyHead, protocols: readonly string[]): OpenedSpdy {
  const valueOf = (name: string): string | undefined => fields.find((field) => field.name === name)?.value;
  // A kubelet that names none means the only one, or the oldest.
  const protocol =
    valueOf('x-stream-protocol-version') ?? (protocols.length === 1 ? protocols[0] : undefined);
  const isSpdy = membersOf(valueOf('upgrade') ?? '').some((name) => name.toLowerCase() === 'spdy/3.1');
  if (!isSpdy || protocol === undefined || !protocols.includes(protocol)) {
    socket.destroy();
    const problem = 'invalid upgrade response: the kubelet speaks another protocol than it was asked for';
    throw new StatusError(500, '', problem);
  }
  if (rest.length > 0) socket.unshift(rest);
  return { socket, protocol };
}
