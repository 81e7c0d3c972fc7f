import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import type * as Library from '../../../lib/index.js';
import type { Entrant } from '../contender.js';
import { buildLibrary } from '../build-library.js';

/**
 * This library with its defaults, compiled as it is published.
 *
 * @param root - the tree whose lib/ is measured
 */
export function ours(root: string, name = 'ours'): Entrant {
  return {
    name,
    async start({ sshd, endpoints: { host, ports }, directory }) {
      const built = await buildLibrary(root, directory);
      // eslint-disable-next-line no-restricted-syntax -- its path is not known before
      const library = (await import(pathToFileURL(join(built, 'index.js')).href)) as typeof Library;
      const { address, port, username, privateKey } = sshd;
      const dialer = new library.TunnelDialer({
        nodes: [{ name: 'node', address, port }],
        ssh: { username, privateKey, hostKeys: library.knownHosts(sshd.knownHosts) },
      });
      await dialer.ready();
      return {
        name,
        dial: (endpoint) => dialer.dial(host, ports[endpoint], { node: 'node' }),
        close: () => dialer.close(),
      };
    },
  };
}
