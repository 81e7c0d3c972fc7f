import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Http from '../../../lib/http/index.js';
import type * as Library from '../../../lib/index.js';
import { buildLibrary } from '../build-library.js';
import { Absent, type Entrant, type Wish } from '../contender.js';

/** Where a dialer with defaults begins to queue, in connections; what a wish for fewer channels gets, too. */
const DEFAULT_CONNECTIONS = 4;

/** As many channels as a connection takes before sshd becomes slow with it; the default. */
const CHANNELS_PER_CONNECTION = 128;

/**
 * This library with its defaults, compiled as it is published.
 *
 * @param root - the tree whose lib/ is measured
 */
export function ours(root: string, name = 'ours'): Entrant {
  return {
    name,
    async start({ sshd, endpoints: { host, ports }, directory }, wish) {
      const built = await buildLibrary(root, directory);
      const library = await load<typeof Library>(built, 'index.js');
      const { httpsAgent } = await load<typeof Http>(built, 'http/index.js');
      const { address, port, username, privateKey } = sshd;
      const dialer = new library.TunnelDialer({
        nodes: [{ name: 'node', address, port }],
        ssh: { username, privateKey, hostKeys: library.knownHosts(sshd.knownHosts) },
        pool: poolFor(wish),
      });
      await dialer.ready();
      return {
        name,
        dial: (endpoint) => dialer.dial(host, ports[endpoint], { node: 'node' }),
        agent: () => httpsAgent(dialer, { node: 'node' }),
        close: () => dialer.close(),
      };
    },
  };
}

/** The same with ssh2 as it is where its native addon was not built, which is where npm runs no install scripts. */
export function oursWithoutAddon(root: string): Entrant {
  const entrant = ours(root, 'ours, no addon');
  return {
    ...entrant,
    environment: { TUNNEL_TEST_NATIVE_ADDON: 'off' },
    start(course, wish) {
      const { built, used } = nativeAddon();
      if (!built)
        throw new Absent('ssh2\'s native addon is not built ("npm rebuild ssh2"): "ours" has none either');
      if (used) throw new Error('ssh2 has its native addon although it is switched off');
      return entrant.start(course, wish);
    },
  };
}

/** No more than the defaults unless it is needed; one connection more than that for the dials that are measured. */
function poolFor({ channels = 0 }: Wish = {}): Library.PoolOptions {
  const needed = Math.ceil(channels / CHANNELS_PER_CONNECTION) + 1;
  if (needed <= DEFAULT_CONNECTIONS) return {};
  return { maxConnections: needed, maxChannelsPerConnection: CHANNELS_PER_CONNECTION };
}

function nativeAddon(): { readonly built: boolean; readonly used: boolean } {
  const require = createRequire(import.meta.url);
  const path = require.resolve('ssh2/lib/protocol/crypto.js');
  const { bindingAvailable } = require(path) as { bindingAvailable: boolean };
  return {
    built: existsSync(join(dirname(path), 'crypto/build/Release/sshcrypto.node')),
    used: bindingAvailable,
  };
}

/** The library's types are those of this tree, wherever it is from. */
async function load<T>(built: string, file: string): Promise<T> {
  // eslint-disable-next-line no-restricted-syntax -- its path is not known before
  return (await import(pathToFileURL(join(built, file)).href)) as T;
}
