import { BlockList, isIP, isIPv6 } from 'node:net';
import { formatEndpoint } from '../errors.js';

/** Where on this machine to listen by TCP. */
export interface TcpPlace {
  /** An IP address of this machine, or a name of one. Default: `127.0.0.1`, which is also what `localhost` means here. */
  host?: string | undefined;
  /** Default: 0, a free one. */
  port?: number | undefined;
}

/** Where on this machine to listen by a UNIX socket. */
export interface UnixPlace {
  /**
   * Path of the socket, at most 107 bytes (unix(7)). It has mode 0600 from its first moment on. A stale socket at the path is replaced,
   * anything else is not; it is removed when the listener closes.
   */
  path: string;
}

/** What a listener by TCP is bound to. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** What a listener by a UNIX socket is bound to. */
export interface UnixAddress {
  readonly path: string;
}

/** The address that a place turns into. */
export type AddressOf<Place extends TcpPlace | UnixPlace> = Place extends UnixPlace
  ? UnixAddress
  : TcpAddress;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether only this machine reaches an address. A name is never taken for one: what it means may change. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return false;
  return loopback.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}

/** A URL by which a client of this machine finds a proxy, such as `socks5h://127.0.0.1:1080`; none for a UNIX socket. */
export function urlOf(scheme: string, address: TcpAddress | UnixAddress): string | undefined {
  if ('path' in address) return undefined;
  const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
  return `${scheme}://${formatEndpoint(host, address.port)}`;
}
