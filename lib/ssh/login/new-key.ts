import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/*
 * A key as it comes from Node's generator shares a lock with what made it. When that is collected while the key is being exported, the
 * process stands still for good: `~KeyGenJob` waits for the lock that its own thread has (seen with Node 20.20). One that was read from
 * text has a lock of its own.
 */

/** Makes an Ed25519 private key. */
export function newEd25519Key(): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return createPrivateKey(privateKey);
}

/** Makes an ECDSA private key over P-256. */
export function newEcdsaKey(): KeyObject {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return createPrivateKey(privateKey);
}
