/**
 * Preload that decides about ssh2's native addon: `TUNNEL_TEST_NATIVE_ADDON=off` makes ssh2 work as if it had
 * not been built, `on` fails at once if it has not been. Unset, ssh2 uses it if it is there. The test suite
 * always loads this file; another program does so with `node --import tsx --import
 * ./test/support/native-addon.ts …`.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const wanted = process.env.TUNNEL_TEST_NATIVE_ADDON ?? '';

if (wanted === 'off') {
  const { extensions } = require as unknown as {
    extensions: Record<string, (module: unknown, path: string) => void>;
  };
  const load = extensions['.node'];
  extensions['.node'] = (module, path) => {
    if (path.endsWith('sshcrypto.node')) throw new Error("ssh2's native addon is switched off");
    load?.(module, path);
  };
} else if (wanted === 'on') {
  const { bindingAvailable } = require('ssh2/lib/protocol/crypto.js') as { bindingAvailable: boolean };
  if (!bindingAvailable) throw new Error('ssh2\'s native addon is not built: run "npm rebuild ssh2"');
} else if (wanted !== '') {
  throw new Error(`TUNNEL_TEST_NATIVE_ADDON is "${wanted}": use on or off`);
}
