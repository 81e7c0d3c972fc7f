import { InvalidOptionError } from '../../errors.js';
import { describeKind, describeValue } from '../../validation.js';
import { isHostKeyVerifier, type HostKeyVerifier } from './verifier.js';
import {
  fingerprintOf,
  isSupportedKey,
  parsePublicKey,
  sameBytes,
  signatureAlgorithms,
} from './public-key.js';

interface Pin {
  /** `SHA256:` and base64 without padding. */
  readonly fingerprint: string;
  /** Unknown if only the fingerprint was given. */
  readonly type: string | undefined;
}

const MAX_SHOWN = 3;

const RULE =
  'must be "SHA256:" and 43 characters of base64 as ssh-keygen -l shows it, ' +
  'or a public key line such as "ssh-ed25519 AAAA…"';

function problemOf(text: string): string {
  if (/^(MD5:)?([0-9a-f]{2}:){15}[0-9a-f]{2}$/i.test(text))
    return 'is an MD5 fingerprint; give the SHA256 one, which ssh-keygen -l shows';
  if (/^[~/.]/.test(text)) return 'looks like a path: give the text of the .pub file, not its path';
  if (text.includes('PRIVATE KEY')) return 'is a private key: give the public key of the node';
  const type = parsePublicKey(text)?.type;
  if (type !== undefined)
    return `is of type ${describeValue(type)}, which is not supported; give an Ed25519, ECDSA or RSA key`;
  const withoutHost = parsePublicKey(text.replace(/^\S+\s+/, ''));
  if (withoutHost !== undefined)
    return 'has a host name in front of the key: give the key only, or use knownHosts()';
  return `${RULE}, got ${describeValue(text)}`;
}

function parsePin(value: unknown, option: string): Pin {
  if (typeof value !== 'string') throw new InvalidOptionError(option, `${RULE}, got ${describeKind(value)}`);
  const text = value.trim();
  const base64 = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(text)?.[1];
  // The last character has two bits to spare; if one is set, somebody mistyped it.
  if (base64 !== undefined && Buffer.from(base64, 'base64').toString('base64') === `${base64}=`) {
    return { fingerprint: `SHA256:${base64}`, type: undefined };
  }
  const key = parsePublicKey(text);
  if (key === undefined || !isSupportedKey(key.blob)) throw new InvalidOptionError(option, problemOf(text));
  return { fingerprint: fingerprintOf(key.blob), type: key.type };
}

function verifierOf(pins: readonly Pin[]): HostKeyVerifier {
  const types = pins.flatMap(({ type }) => type ?? []);
  const algorithms = types.length === pins.length ? signatureAlgorithms(types) : undefined;
  const fingerprints = pins.map(({ fingerprint }) => fingerprint);
  const more = pins.length > MAX_SHOWN ? ` and ${pins.length - MAX_SHOWN} more` : '';
  const hint = `pinned: ${fingerprints.slice(0, MAX_SHOWN).join(', ')}${more}`;
  return {
    keyTypes: () => algorithms,
    verify: (_host, key) => {
      const shown = Buffer.from(fingerprintOf(key));
      return fingerprints.some((fingerprint) => sameBytes(Buffer.from(fingerprint), shown))
        ? { verdict: 'accepted' }
        : { verdict: 'rejected', reason: 'mismatch', hint };
    },
  };
}

/**
 * A verifier that accepts these host keys and no others, whatever the host is called. Several serve nodes
 * with several keys, or the time of a change from one to the next.
 *
 * @param keys - `SHA256:…` as `ssh-keygen -l` shows it, or public key lines (`ssh-ed25519 AAAA… comment`)
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` if there is none, or one is neither
 */
export function pinnedHostKey(...keys: readonly [string, ...string[]]): HostKeyVerifier {
  if ((keys as readonly string[]).length === 0)
    throw new InvalidOptionError('pinnedHostKey()', `needs at least one key, which ${RULE}`);
  return verifierOf(keys.map((key, index) => parsePin(key, `pinnedHostKey() argument ${index + 1}`)));
}

/**
 * The verifier that an option means: itself, or a pin of the key it names.
 *
 * @param option - path of the option, such as `nodes[3].hostKey`
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` if it is neither
 */
export function hostKeyVerifierFor(value: unknown, option: string): HostKeyVerifier {
  if (typeof value === 'string') return verifierOf([parsePin(value, option)]);
  if (isHostKeyVerifier(value)) return value;
  throw new InvalidOptionError(
    option,
    'must be a verifier such as knownHosts() returns, or a key: "SHA256:…" or "ssh-ed25519 AAAA…", ' +
      `got ${describeKind(value)}`,
  );
}
