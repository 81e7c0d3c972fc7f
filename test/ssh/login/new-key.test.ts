import { expect } from 'chai';
import { spawnSync } from 'node:child_process';

/** Makes and exports keys in a small heap, whose garbage is collected all the time. */
const PROGRAM = `
  const { newEd25519Key, newEcdsaKey } = await import(process.argv[1]);
  for (let round = 0; round < 10_000; round += 1) {
    newEd25519Key().export({ format: 'jwk' });
    if (round % 10 === 0) newEcdsaKey().export({ type: 'pkcs8', format: 'pem' });
  }
`;

describe('a new key', () => {
  it('can be exported while what made it is being collected', function () {
    this.timeout(60_000);
    const module = new URL('../../../lib/ssh/login/new-key.ts', import.meta.url).href;
    const args = ['--import=tsx', '--max-semi-space-size=1', '--input-type=module', '-e', PROGRAM, module];
    // One that stands still is stopped.
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 50_000 });
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
  });
});
