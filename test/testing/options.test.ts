import { expect } from 'chai';
import { InvalidOptionError } from '../../lib/errors.js';
import { startSshNode } from '../../lib/testing/index.js';
import { generateKeyPair } from '../../lib/testing/keys.js';

describe('testing: options of an SSH node', () => {
  const wrong: [string, unknown][] = [
    ['name', ''],
    ['host', 'a b'],
    ['host', ''],
    ['port', 65536],
    ['port', -1],
    ['port', Number.NaN],
    ['username', ''],
    ['hostKeyType', 'dsa'],
    ['authorizedKeys', 'ssh-ed25519 AAAA'],
    ['authorizedKeys[0]', ['ssh-ed25519 AAAA']],
    ['authorizedKeys[1]', [generateKeyPair('ed25519').publicKey, 7]],
    ['permit', 'all'],
    ['redirect', {}],
    ['ident', 'SSH-2.0-x'],
    ['ident', ''],
    ['ident', 'two\nlines'],
    ['ident', 'x'.repeat(246)],
    ['onLog', true],
    ['hostkeyType', 'ed25519'],
  ];
  for (const [path, value] of wrong) {
    const key = path.replace(/\[.*/, '');
    const shown =
      typeof value === 'string' && value.length > 20 ? `${value.length} characters` : JSON.stringify(value);
    it(`refuses ${path} ${typeof value === 'number' ? value : shown.slice(0, 40)}`, async () => {
      const error: unknown = await startSshNode({ [key]: value }).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(InvalidOptionError);
      expect(error).to.include({ code: 'ERR_TUNNEL_INVALID_OPTION', option: path });
    });
  }

  it('never shows a private key that stands in the wrong place', async () => {
    const { privateKey } = generateKeyPair('ed25519');
    const error: unknown = await startSshNode({ authorizedKeys: [privateKey] }).catch(
      (reason: unknown) => reason,
    );
    expect(String(error)).to.match(/authorizedKeys\[0\] must be a public key line .* got a string$/);
  });

  it('passes on why an address cannot be listened on', async () => {
    const node = await startSshNode();
    const { port } = node.spec;
    const error: unknown = await startSshNode({ port }).catch((reason: unknown) => reason);
    expect(error).to.include({ code: 'EADDRINUSE', port });
    await node.close();
  });
});
