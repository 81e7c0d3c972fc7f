import { isIPv4, isIPv6 } from 'node:net';

/** An IP address in a form that can be compared: IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) is IPv4. */
export interface IpAddress {
  readonly family: 4 | 6;
  /** 32 bits for IPv4, 128 for IPv6. */
  readonly bits: bigint;
  /** The one way to write it: dotted for IPv4, RFC 5952 for IPv6; no brackets, no zone. */
  readonly text: string;
  /** Zone of an IPv6 address (RFC 4007 §11), such as `eth0`. */
  readonly zone: string | undefined;
}

/** A network, such as `10.244.1.0/24`. */
export interface Cidr {
  readonly family: 4 | 6;
  /** Length of the prefix in bits. */
  readonly prefix: number;
  /** The prefix itself, as {@link leadingBits} gives it for an address inside. */
  readonly network: bigint;
  /** The one way to write it. */
  readonly text: string;
}

const widths = { 4: 32, 6: 128 } as const;

/** Parses an IPv4 address, or an IPv6 address with or without brackets and zone; else `undefined`. */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return fromBits(4, bitsOfIPv4(text));
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const [address = '', zone, ...more] = bare.split('%');
  if (!isIPv6(address) || zone === '' || more.length > 0) return undefined;
  const bits = bitsOfIPv6(address);
  return isMapped(bits) ? fromBits(4, lowest32(bits)) : fromBits(6, bits, zone);
}

/**
 * Parses `address/prefix`. Anything else is `undefined`.
 *
 * Bits of the address beyond the prefix are dropped and not refused: Kubernetes reads a node's podCIDR with
 * Go's `net.ParseCIDR`, which does the same, and one sloppy entry must not cost a fleet its update.
 */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = '', digits = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const prefix = Number(digits);
  if (isIPv4(address)) return network(4, bitsOfIPv4(address), prefix);
  if (address.includes('%') || !isIPv6(address)) return undefined;
  const bits = bitsOfIPv6(address);
  // A shorter prefix holds more than the mapped addresses, so it stays a network of IPv6.
  return isMapped(bits) && prefix >= 96 ? network(4, lowest32(bits), prefix - 96) : network(6, bits, prefix);
}

/** The leading bits of an address: two addresses are in one network of that prefix if these are equal. */
export function leadingBits(address: Pick<IpAddress, 'family' | 'bits'>, prefix: number): bigint {
  return address.bits >> BigInt(widths[address.family] - prefix);
}

/** A host in two forms. */
export interface ParsedHost {
  /** For comparison: without case, trailing dot, brackets and zone, an IP address in canonical form. */
  readonly key: string;
  /**
   * For the node's sshd: an IP address in canonical form with its zone and without brackets, a name as it
   * came. Canonical, because `PermitOpen` compares text (OpenSSH's channels.c, `open_match`).
   */
  readonly host: string;
  /** Present when the host is an IP address. */
  readonly ip: IpAddress | undefined;
}

/** Parses a host that `host` of validation.ts has accepted. */
export function parseHost(text: string): ParsedHost {
  const ip = parseIpAddress(text);
  if (ip === undefined) return { key: text.toLowerCase().replace(/\.$/, ''), host: text, ip };
  return { key: ip.text, host: ip.zone === undefined ? ip.text : `${ip.text}%${ip.zone}`, ip };
}

function fromBits(family: 4 | 6, bits: bigint, zone?: string): IpAddress {
  return { family, bits, text: family === 4 ? textOfIPv4(bits) : textOfIPv6(bits), zone };
}

function network(family: 4 | 6, bits: bigint, prefix: number): Cidr | undefined {
  const width = widths[family];
  if (prefix > width) return undefined;
  const leading = leadingBits({ family, bits }, prefix);
  const { text } = fromBits(family, leading << BigInt(width - prefix));
  return { family, prefix, network: leading, text: `${text}/${prefix}` };
}

function isMapped(bits: bigint): boolean {
  return bits >> 32n === 0xffffn;
}

function lowest32(bits: bigint): bigint {
  return BigInt.asUintN(32, bits);
}

function bitsOfIPv4(text: string): bigint {
  return BigInt(text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0));
}

/** Expects what `net.isIPv6` accepts, without a zone. */
function bitsOfIPv6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array<string>(8 - left.length - right.length).fill('0000');
  return BigInt(`0x${[...left, ...zeros, ...right].join('')}`);
}

/** Groups of four hexadecimal digits; an IPv4 address at the end makes two. */
function groupsOf(text: string): string[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return group.padStart(4, '0');
    const hex = bitsOfIPv4(group).toString(16).padStart(8, '0');
    return [hex.slice(0, 4), hex.slice(4)];
  });
}

function textOfIPv4(bits: bigint): string {
  const number = Number(bits);
  return [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255].join('.');
}

/** RFC 5952 §4: lower case, no leading zeros, the first of the longest runs of zero groups as `::`. */
function textOfIPv6(bits: bigint): string {
  const hex = bits.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number(`0x${hex.slice(index * 4, index * 4 + 4)}`).toString(16),
  );
  const text = groups.join(':');
  const runs = [...text.matchAll(/\b0(:0)+\b/g)].map((match) => ({
    start: match.index,
    length: match[0].length,
  }));
  const [first, ...others] = runs;
  if (first === undefined) return text;
  const { start, length } = others.reduce((best, run) => (run.length > best.length ? run : best), first);
  const before = text.slice(0, start).replace(/:$/, '');
  const after = text.slice(start + length).replace(/^:/, '');
  return `${before}::${after}`;
}
