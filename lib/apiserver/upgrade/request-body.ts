import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';

/**
 * Sends so many of the bytes that come from the client, and leaves the others unread: until the backend has said that it goes on in another
 * protocol they might be a request that nobody has allowed. Resolves when they are sent; never, when either side ends before.
 */
export function sendBody(
  from: Readable,
  backend: Duplex,
  bytes: number,
  onProgress: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes;
    const move = (): void => {
      while (left > 0 && !backend.writableNeedDrain && !backend.destroyed) {
        const chunk = from.read(Math.min(left, from.readableLength)) as Buffer | null;
        if (chunk === null) return;
        left -= chunk.length;
        backend.write(chunk);
        onProgress();
      }
      if (left > 0) return;
      from.off('readable', move);
      backend.off('drain', move);
      resolve();
    };
    if (left > 0) {
      from.on('readable', move);
      backend.on('drain', move);
    }
    move();
  });
}

/** Where the body of an upgrade request is read: some versions of Node leave it in front of the stream, others parse it. */
export function bodySource(request: IncomingMessage, socket: Duplex): Readable {
  return request.complete && request.readableLength === 0 ? socket : request;
}
