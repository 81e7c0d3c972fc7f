import type { ClientRequest } from 'node:http';
import type { ProxyRequest } from '../exchange.js';
import { pairsOf } from './fields.js';
import { requestTrailers, type Framing } from './request-head.js';

/**
 * Sends a client's body to a backend as it comes, no faster than the backend takes it, with its trailers. The backend hears of the request before
 * there is any of it. A body that breaks off breaks the request.
 */
export function upload(request: ProxyRequest, framing: Framing, outgoing: ClientRequest): void {
  if (framing.kind === 'none') {
    outgoing.end();
    return;
  }
  // The body may be there already, and then they are one packet.
  const flush = setImmediate(() => outgoing.flushHeaders());
  request.once('data', () => clearImmediate(flush));
  request.once('end', () => {
    clearImmediate(flush);
    if (outgoing.destroyed) return;
    const trailers = framing.kind === 'chunked' ? requestTrailers(request) : [];
    if (trailers.length > 0) outgoing.addTrailers(pairsOf(trailers));
    outgoing.end();
  });
  const broken = (): void => {
    if (!request.readableEnded) outgoing.destroy(new Error('the body of the request broke off'));
  };
  request.once('error', broken).once('close', broken);
  // What nobody takes any more is read on, or the client's connection could not be used again.
  outgoing.once('close', () => {
    clearImmediate(flush);
    request.unpipe(outgoing).resume();
  });
  request.pipe(outgoing, { end: false });
}
