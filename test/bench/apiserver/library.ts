import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Library from '../../../lib/index.js';
import type { TunnelDialer } from '../../../lib/index.js';
import { ADDRESS, NODE, type Course } from './messages.js';

/** A module of the compiled library, by its path in lib/, without `.js`. */
export async function libraryModule<Module>(library: string, path: string): Promise<Module> {
  // eslint-disable-next-line no-restricted-syntax -- its path is not known before
  return (await import(pathToFileURL(join(library, `${path}.js`)).href)) as Module;
}

/** A dialer with its defaults, connected to the node. */
export async function connectedDialer({ library, sshd }: Course): Promise<TunnelDialer> {
  const { TunnelDialer, knownHosts } = await libraryModule<typeof Library>(library, 'index');
  const { address, port, username, privateKey } = sshd;
  const dialer = new TunnelDialer({
    nodes: [{ name: NODE, address, port, addresses: [ADDRESS], selfAddress: '127.0.0.1' }],
    ssh: { username, privateKey, hostKeys: knownHosts(sshd.knownHosts) },
  });
  await dialer.ready();
  return dialer;
}

export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
