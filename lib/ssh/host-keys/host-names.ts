import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv6, SocketAddress } from 'node:net';
import type { HostIdentity } from './verifier.js';

/*
 * How known_hosts files name a host: sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT", and OpenSSH's hostfile.c, match.c
 * and misc.c.
 */

const SSH_PORT = 22;

/**
 * What a line's list of hosts says of one name. Negation wins over every other pattern of the line (match.c,
 * `match_pattern_list`).
 */
export type HostMatch = 'listed' | 'negated' | 'absent';

/** The strings under which a host may be listed. */
export interface LookupNames {
  /** `name` for port 22, `[name]:port` for any other (misc.c, `put_host_port`). */
  readonly exact: readonly string[];
  /** The names without the port, for another port than 22; empty for port 22. */
  readonly portless: readonly string[];
}

/** The one notation of an IPv6 address that is compared; any other text comes back as it is. */
function canonicalIPv6(text: string): string {
  const [address = '', ...zone] = text.split('%');
  if (!isIPv6(address)) return text;
  return [new SocketAddress({ address, family: 'ipv6' }).address, ...zone].join('%');
}

/** A name or address for comparison: lower case, without the brackets of an IPv6 address. */
function canonicalName(name: string): string {
  const inner = /^\[(.*)\]$/.exec(name)?.[1];
  return canonicalIPv6(
    (inner !== undefined && isIPv6(inner.split('%')[0] ?? '') ? inner : name).toLowerCase(),
  );
}

const withPort = (name: string, port: number): string => (port === SSH_PORT ? name : `[${name}]:${port}`);

/** All strings under which a host may be listed; an IPv4-mapped IPv6 address also as the IPv4 address. */
export function lookupNames(host: HostIdentity): LookupNames {
  const names = host.names.flatMap((given) => {
    const name = canonicalName(given);
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(name)?.[1];
    return mapped === undefined ? [name] : [name, mapped];
  });
  const unique = [...new Set(names)];
  return {
    exact: unique.map((name) => withPort(name, host.port)),
    portless: host.port === SSH_PORT ? [] : unique,
  };
}

/**
 * The names of a host as they are written to a known_hosts line. Names with a character that means something
 * there are left out, as OpenSSH does (sshconnect.c, `check_host_key`).
 */
export function writableNames(host: HostIdentity): string[] {
  const names = host.names.map(canonicalName).filter((name) => /^[^\s,@?*#[\]|'"\\!\p{C}]+$/u.test(name));
  return [...new Set(names)].map((name) => withPort(name, host.port));
}

/** Wildcards know no separators: `*` matches dots, and nothing. Takes at most the product of both lengths. */
function matchesWildcards(pattern: string, text: string): boolean {
  let at = 0;
  let next = 0;
  let afterStar = -1;
  let retryAt = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      afterStar = ++next;
      retryAt = at;
    } else if (next < pattern.length && (pattern[next] === '?' || pattern[next] === text[at])) {
      next++;
      at++;
    } else if (afterStar >= 0) {
      next = afterStar;
      at = ++retryAt;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(next));
}

/** `[name]:22` means `name`, as in golang.org/x/crypto's knownhosts; OpenSSH would never find it. */
function canonicalPattern(pattern: string): string {
  const [, inner, port = ''] = /^\[([^[\]]*)\]:(\d+)$/.exec(pattern) ?? [];
  if (inner === undefined) return canonicalName(pattern);
  return withPort(canonicalIPv6(inner.toLowerCase()), Number(port));
}

/** `|1|salt|hash`: base64 of a salt of 20 bytes and of the name's HMAC-SHA1 (hostfile.c, `host_hash`). */
function hashedMatcher(hosts: string): ((name: string) => HostMatch) | undefined {
  const [salt, hash] = (/^\|1\|([^|]+)\|([^|]+)$/.exec(hosts) ?? [])
    .slice(1)
    .map((base64) => Buffer.from(base64, 'base64'));
  if (salt?.length !== 20 || hash?.length !== 20) return undefined;
  return (name) => {
    const expected = createHmac('sha1', salt).update(name).digest();
    return timingSafeEqual(expected, hash) ? 'listed' : 'absent';
  };
}

/** Compiles a line's list of hosts: patterns between commas, or one hashed name. `undefined`: broken. */
export function hostMatcher(hosts: string): ((name: string) => HostMatch) | undefined {
  if (hosts.startsWith('|')) return hashedMatcher(hosts);
  const patterns = hosts.split(',').map((pattern) => {
    const negated = pattern.startsWith('!');
    return { negated, text: canonicalPattern(negated ? pattern.slice(1) : pattern) };
  });
  return (name) => {
    const matching = patterns.filter(({ text }) => matchesWildcards(text, name));
    if (matching.some(({ negated }) => negated)) return 'negated';
    return matching.length > 0 ? 'listed' : 'absent';
  };
}
