import { debug } from '../../diagnostics.js';
import type { HostIdentity, HostKeyVerdict, HostKeyVerifier } from './verifier.js';
import { hostMatcher, lookupNames, writableNames, type HostMatch } from './host-names.js';
import {
  fingerprintOf,
  formatPublicKey,
  isSupportedKey,
  keyTypeOf,
  parsePublicKey,
  sameBytes,
  signatureAlgorithms,
  SUPPORTED_KEY_TYPES,
  type PublicKey,
} from './public-key.js';

/** More places than this are only counted, so that a hint stays a line or two. */
const MAX_PLACES_SHOWN = 3;

/** Longer lines, which only an absurd key makes, are not shown. */
const MAX_LINE_LENGTH = 4096;

interface KeyLine {
  readonly kind: 'key' | 'revoked';
  readonly match: (name: string) => HostMatch;
  readonly key: PublicKey;
}

type ParsedLine =
  KeyLine | { readonly kind: 'nothing' } | { readonly kind: 'skipped'; readonly because: string };

type Entry = KeyLine & { readonly line: number };

/** What a file has on record for one host. */
interface Listing {
  /** Keys under the host's own names, with its port. */
  readonly known: readonly Entry[];
  /** Keys under its names without the port, if there are none with it. */
  readonly portless: readonly Entry[];
  readonly revoked: readonly Entry[];
}

/** Parses one line of a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). */
export function parseKnownHostsLine(text: string): ParsedLine {
  // Takes a byte order mark away as well.
  const line = text.trim();
  if (line === '' || line.startsWith('#')) return { kind: 'nothing' };
  const [, marker, hosts = '', rest = ''] = /^(?:(@\S*)[ \t]+)?([^\s@]\S*)[ \t]+(.*)$/.exec(line) ?? [];
  if (hosts === '') return { kind: 'skipped', because: 'it is not "names type key"' };
  if (marker === '@cert-authority') {
    return { kind: 'skipped', because: '@cert-authority is not supported: list the host keys themselves' };
  }
  if (marker !== undefined && marker !== '@revoked') {
    return { kind: 'skipped', because: 'its @marker is unknown' };
  }
  const match = hostMatcher(hosts);
  if (match === undefined) return { kind: 'skipped', because: 'its hashed name is broken' };
  const key = parsePublicKey(rest);
  if (key === undefined) return { kind: 'skipped', because: 'its key is broken' };
  if (SUPPORTED_KEY_TYPES.includes(key.type) && !isSupportedKey(key.blob)) {
    return { kind: 'skipped', because: 'its key is broken' };
  }
  return { kind: marker === undefined ? 'key' : 'revoked', match, key };
}

/**
 * The lines of one known_hosts file, and what they say of hosts.
 *
 * As in OpenSSH's hostfile.c (`check_hostkeys_by_key_or_type`): a key that is revoked for the host is never
 * accepted; else one that is listed for it is, whatever else is listed; a host with other keys only is a
 * mismatch; a host without any is unknown. A host at another port than 22 that is not listed with its port
 * may show a key that is listed without it (sshconnect.c, `check_host_key`, "checking without port
 * identifier"), but a different key there does not make it a mismatch: another port may be another sshd.
 */
export class KnownHostsFile implements HostKeyVerifier {
  readonly #path: string | undefined;
  readonly #entries: readonly Entry[];
  readonly #listings = new WeakMap<HostIdentity, Listing>();

  /** @param path - where the text came from, for messages; `undefined` if it was no file */
  constructor(text: string, path: string | undefined) {
    this.#path = path;
    const lines = text.split(/\r?\n/);
    this.#entries = lines.flatMap((content, index) => {
      const parsed = parseKnownHostsLine(content);
      const line = index + 1;
      if (parsed.kind === 'key' || parsed.kind === 'revoked') return { ...parsed, line };
      if (parsed.kind === 'skipped') debug.hostKeys('%s skipped: %s', this.#place(line), parsed.because);
      return [];
    });
  }

  /** Whether there is any key in it that could be accepted. */
  get isUsable(): boolean {
    return this.#entries.some(({ kind, key }) => kind === 'key' && isSupportedKey(key.blob));
  }

  keyTypes(host: HostIdentity): readonly string[] | undefined {
    const { known, portless, revoked } = this.#listing(host);
    const isRevoked = ({ key }: Entry): boolean =>
      revoked.some((entry) => sameBytes(entry.key.blob, key.blob));
    const valid = known.filter((entry) => !isRevoked(entry));
    // If all are revoked, the node may as well show one of them, so that the error names it.
    const algorithms = signatureAlgorithms((valid.length > 0 ? valid : known).map(({ key }) => key.type));
    if (algorithms.length > 0) return algorithms;
    if (portless.length === 0) return undefined;
    const preferred = signatureAlgorithms(portless.map(({ key }) => key.type));
    return [...new Set([...preferred, ...signatureAlgorithms(SUPPORTED_KEY_TYPES)])];
  }

  verify(host: HostIdentity, key: Buffer): HostKeyVerdict {
    const { known, portless, revoked } = this.#listing(host);
    const same = (entry: Entry): boolean => sameBytes(entry.key.blob, key);
    const revokedBy = revoked.find(same);
    if (revokedBy !== undefined) {
      const hint = `${this.#place(revokedBy.line)} revokes it: give the node new host keys and record those`;
      return { verdict: 'rejected', reason: 'revoked', hint };
    }
    if (known.some(same) || portless.some(same)) return { verdict: 'accepted' };
    if (known.length > 0) return { verdict: 'rejected', reason: 'mismatch', hint: this.#mismatchHint(known) };
    const hint = this.#unknownHint(host, key);
    return { verdict: 'rejected', reason: 'unknown', ...(hint === undefined ? {} : { hint }) };
  }

  #listing(host: HostIdentity): Listing {
    const cached = this.#listings.get(host);
    if (cached !== undefined) return cached;
    const names = lookupNames(host);
    const known = this.#keysFor(names.exact);
    const listing: Listing = {
      known,
      portless: known.length > 0 ? [] : this.#keysFor(names.portless),
      revoked: this.#entries.filter(
        ({ kind, match }) =>
          kind === 'revoked' && [...names.exact, ...names.portless].some((name) => match(name) === 'listed'),
      ),
    };
    this.#listings.set(host, listing);
    return listing;
  }

  /** A line that excludes one of the host's names does not speak for the host, even if it lists another. */
  #keysFor(names: readonly string[]): Entry[] {
    return this.#entries.filter(({ kind, match }) => {
      if (kind !== 'key') return false;
      const matches = names.map(match);
      return matches.includes('listed') && !matches.includes('negated');
    });
  }

  #place(line: number): string {
    return this.#path === undefined ? `known_hosts line ${line}` : `${this.#path}:${line}`;
  }

  #mismatchHint(known: readonly Entry[]): string {
    const shown = known
      .slice(0, MAX_PLACES_SHOWN)
      .map(({ line, key }) => `${this.#place(line)} (${key.type} ${fingerprintOf(key.blob)})`);
    const more = known.length > shown.length ? ` and ${known.length - shown.length} more` : '';
    return (
      `on record: ${shown.join(', ')}${more}; ` +
      "if the node was reinstalled, check the new key on the node's console and replace the old"
    );
  }

  #unknownHint(host: HostIdentity, key: Buffer): string | undefined {
    const [name] = writableNames(host);
    const line = `${name ?? ''} ${formatPublicKey(key)}`;
    if (name === undefined || !isSupportedKey(key) || line.length > MAX_LINE_LENGTH) return undefined;
    const file = `/etc/ssh/ssh_host_${keyTypeOf(key).replace(/^ssh-|-sha2-.*$/g, '')}_key.pub`;
    return (
      `compare the fingerprint with "ssh-keygen -lf ${file}" on the node's console, ` +
      `then add this line to ${this.#path ?? 'the known_hosts text'}: ${line}`
    );
  }
}
