import type { IncomingMessage } from 'node:http';

/** An IPv4 address is told as such, also by a socket that listens to both. */
export const addressOf = (address: string | undefined): string | undefined =>
  address?.replace(/^::ffff:(?=\d+\.)/, '');

/**
 * `X-Forwarded-For` of an upgrade: the client's address behind those that are there (apimachinery, pkg/util/net,
 * `AppendForwardedForHeader`); none when there are none.
 */
export function forwardedFor(
  request: IncomingMessage,
  clientAddress: string | undefined,
): readonly (readonly [name: string, value: string])[] {
  const before = request.headersDistinct['x-forwarded-for'] ?? [];
  const chain = [...before, addressOf(clientAddress ?? request.socket.remoteAddress)].filter(Boolean);
  return chain.length === 0 ? [] : [['X-Forwarded-For', chain.join(', ')]];
}
