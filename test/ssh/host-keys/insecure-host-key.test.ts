import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { insecureAcceptAnyHostKey } from '../../../lib/ssh/host-keys/insecure-host-key.js';
import { blobOf, SAMPLE_KEYS } from '../key-files.js';

const MODULE = new URL('../../../lib/ssh/host-keys/insecure-host-key.ts', import.meta.url).href;

describe('insecureAcceptAnyHostKey', () => {
  it('accepts any key of any type', () => {
    const verifier = insecureAcceptAnyHostKey();
    const host = { names: ['node-1'], port: 22 };
    expect(verifier.keyTypes(host)).to.equal(undefined);
    for (const key of [blobOf(SAMPLE_KEYS.ed25519), Buffer.alloc(0)]) {
      expect(verifier.verify(host, key)).to.deep.equal({ verdict: 'accepted' });
    }
  });

  it('warns once in the life of a process', () => {
    const script = `
      import { insecureAcceptAnyHostKey } from ${JSON.stringify(MODULE)};
      process.on('warning', ({ name, code }) => console.log(name, code));
      insecureAcceptAnyHostKey();
      insecureAcceptAnyHostKey();`;
    const output = execFileSync(
      process.execPath,
      ['--no-warnings', '--import', 'tsx', '--input-type=module', '--eval', script],
      { encoding: 'utf8' },
    );
    expect(output).to.equal('SecurityWarning TUNNEL_DIALER_INSECURE_HOST_KEY\n');
  });
});
