import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Refusal } from './answers.js';

/** What streams over SPDY, by the versions it takes (k8s.io/kubelet, pkg/cri/streaming/remotecommand/httpstream.go). */
export const SPDY_PROTOCOLS = {
  exec: ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'],
  attach: ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'],
  portForward: ['portforward.k8s.io'],
} as const;

export function isSpdy(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'spdy/3.1';
}

/**
 * Answers an upgrade to SPDY/3.1 with 101, after which the stream has what the client sends, from its first byte.
 *
 * @param accepted - what is spoken here; the first on the client's list is taken (k8s.io/apimachinery, pkg/util/httpstream)
 * @returns what is spoken
 * @throws {@link Refusal} 400 when the client says no protocol, 403 when there is none in common
 */
export function upgradeToSpdy(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  accepted: readonly string[],
): string {
  const offered = (request.headersDistinct['x-stream-protocol-version'] ?? [])
    .flatMap((line) => line.split(','))
    .map((name) => name.trim());
  if (offered.length === 0)
    throw new Refusal(400, 'unable to upgrade: X-Stream-Protocol-Version is required');
  const chosen = offered.find((name) => accepted.includes(name));
  if (chosen === undefined) {
    const both = `client supports [${offered.join(' ')}], server accepts [${accepted.join(' ')}]`;
    throw new Refusal(403, `unable to upgrade: unable to negotiate protocol: ${both}`, {
      'X-Accepted-Stream-Protocol-Versions': accepted,
    });
  }
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    `X-Stream-Protocol-Version: ${chosen}`,
    `Date: ${new Date().toUTCString()}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  return chosen;
}
