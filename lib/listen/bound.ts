import type { ListenOptions, Server } from 'node:net';

/** Has a server listen, and waits until it does. Rejects with Node's own error. */
export function bound(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
