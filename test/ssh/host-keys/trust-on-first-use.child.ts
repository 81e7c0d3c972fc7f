/*
 * Run by trust-on-first-use.test.ts in processes of its own: trusts many hosts at once in one file.
 * Arguments: path of the file, public key, number of hosts, prefix of their names.
 */
import { trustOnFirstUse } from '../../../lib/ssh/host-keys/trust-on-first-use.js';
import { blobOf } from '../key-files.js';

const [, , path = '', publicKey = '', count = '0', prefix = ''] = process.argv;
const key = blobOf(publicKey);
const verifier = trustOnFirstUse(path);
for (let number = 0; number < Number(count); number++) {
  const host = { names: [`${prefix}-${number}`], port: 22 };
  if (verifier.verify(host, key).verdict !== 'accepted')
    throw new Error(`${prefix}-${number} was not accepted`);
  await verifier.confirmed?.(host, key);
}
