import type { Algorithms, ServerHostKeyAlgorithm } from 'ssh2';
import { SUPPORTED_KEY_TYPES, signatureAlgorithms } from './host-keys/public-key.js';

/*
 * What is offered to a node, best first. Nothing of SHA-1; no group exchange and no group above 16, whose arithmetic blocks the event
 * loop for up to 1.5 s (mscdex/ssh2#1386). ssh2 adds strict key exchange (kex-strict-c-v00@openssh.com) and ext-info-c by itself.
 */

const KEY_EXCHANGE = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  'diffie-hellman-group14-sha256',
  'diffie-hellman-group16-sha512',
] as const;

const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
] as const;

const MACS = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
] as const;

/** What host keys sign with; the verifier knows the same. */
const HOST_KEYS = signatureAlgorithms(SUPPORTED_KEY_TYPES);

const offers = new Map<string, Algorithms>();

/**
 * The offer for one connection; `hostKeyTypes` narrows it to what the verifier knows of the host, in its order. Connections for which it
 * is the same share it.
 */
export function algorithmsFor(hostKeyTypes: readonly string[] | undefined): Algorithms {
  const wanted = hostKeyTypes?.flatMap((type) => [...signatureAlgorithms([type]), type]) ?? HOST_KEYS;
  const known = [...new Set(wanted)].filter((type) => HOST_KEYS.includes(type));
  // A host known by none of these types is offered all of them, so that the verifier can say what is wrong.
  const serverHostKey = known.length > 0 ? known : HOST_KEYS;
  const key = serverHostKey.join();
  const offer = offers.get(key) ?? offerOf(serverHostKey);
  offers.set(key, offer);
  return offer;
}

/** Frozen; ssh2's types know no such lists. */
const offerOf = (serverHostKey: readonly string[]): Algorithms =>
  Object.freeze({
    kex: frozen(KEY_EXCHANGE),
    cipher: frozen(CIPHERS),
    hmac: frozen(MACS),
    serverHostKey: frozen(serverHostKey as readonly ServerHostKeyAlgorithm[]),
    compress: frozen(['none'] as const),
  });

const frozen = <T>(list: readonly T[]): T[] => Object.freeze([...list]) as T[];
