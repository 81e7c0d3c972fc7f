import type { Duplex } from 'node:stream';
import { closed } from './closed.js';
import { cutOff, leave } from './leave.js';
import type { ReplyBody } from './reply-body.js';
import type { ReplyHead } from './reply-head.js';

/** How long nothing may move, neither from the backend nor to the client. */
const STALL_MS = 10_000;

/** Of the backend's connection. Ours ends with the answer. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection']);

/**
 * Passes on the answer of a backend that does not upgrade: the head but for what concerns the connection, and the body byte for byte. What the
 * client sends is thrown away, so that no second request gets anywhere. Resolves when both are closed.
 */
export async function relayAnswer(
  client: Duplex,
  backend: Duplex,
  reply: ReplyHead,
  body: ReplyBody,
): Promise<void> {
  const bothClosed = closed(client, backend);
  const stall = setTimeout(() => finish(cutOff), STALL_MS);
  let isOver = false;
  const finish = (how: (client: Duplex) => void): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(stall);
    backend.off('data', take).destroy();
    how(client);
  };
  const write = (bytes: Buffer): void => {
    if (!client.write(bytes)) backend.pause();
  };
  const take = (chunk: Buffer): void => {
    stall.refresh();
    try {
      const taken = body.take(chunk);
      if (taken > 0) write(chunk.subarray(0, taken));
    } catch {
      finish(cutOff);
      return;
    }
    if (body.isComplete) finish(leave);
  };
  client.once('close', () => finish(() => undefined));
  client.on('drain', () => {
    stall.refresh();
    backend.resume();
  });
  client.resume();
  client.write(headOf(reply));
  backend.on('data', take);
  backend.once('end', () => finish(body.endsWithConnection || body.isComplete ? leave : cutOff));
  backend.once('close', () => finish(cutOff));
  take(reply.rest);
  // What has ended before has told so already.
  if (backend.destroyed || client.destroyed) finish(cutOff);
  else if (!client.writableNeedDrain) backend.resume();
  await bothClosed;
}

function headOf({ statusLine, fields }: ReplyHead): Buffer {
  const kept = fields.filter(({ name }) => !CONNECTION_FIELDS.has(name)).map(({ line }) => line);
  return Buffer.from([statusLine, ...kept, 'Connection: close', '', ''].join('\r\n'), 'latin1');
}
