import { InvalidOptionError } from '../errors.js';
import {
  arrayOf,
  callable,
  describeKind,
  describeValue,
  host,
  integer,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  username,
  withDefault,
} from '../validation.js';
import { type HostKeyType, wireFormat } from './keys.js';

/** An address that a channel is opened to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Options of {@link startSshNode}; all of them have a default. */
export interface SshNodeOptions {
  /** Name in `spec` and in log lines. Default: `node-1`. */
  name?: string | undefined;
  /**
   * Address to listen on. Default: `127.0.0.1`. On Linux every address of 127.0.0.0/8 works, so that several nodes can have an address
   * each.
   */
  host?: string | undefined;
  /** Port to listen on. Default: 0, a free one. */
  port?: number | undefined;
  /** The only user that may log in. Default: `tunnel`. */
  username?: string | undefined;
  /** Default: `ed25519`. */
  hostKeyType?: HostKeyType | undefined;
  /** Public keys that may log in beside the one in `node.ssh`, as lines of `authorized_keys` without options. Default: none. */
  authorizedKeys?: readonly string[] | undefined;
  /**
   * Whether a channel may be opened to this address, like sshd's `PermitOpen`. One that throws, or returns no boolean, refuses. Default: every address.
   */
  permit?: ((host: string, port: number) => boolean) | undefined;
  /**
   * Where a dial to this address really arrives, so that a test can use the names and ports of a cluster that does not exist.
   * `undefined`: at the address asked for. One that throws refuses. Default: as asked for, always.
   */
  redirect?: ((host: string, port: number) => Endpoint | undefined) | undefined;
  /** Software version in the identification line (RFC 4253 §4.2), such as `OpenSSH_9.2p1 Debian-2`. Default: the library's own. */
  ident?: string | undefined;
  /** Called with a line of text for every event: connections, log-ins, channels. What it throws is ignored. */
  onLog?: ((line: string) => void) | undefined;
}

/** The options with defaults filled in. */
export interface Settings {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly hostKeyType: HostKeyType;
  /** In wire format. */
  readonly authorizedKeys: readonly Buffer[];
  readonly permit: (host: string, port: number) => boolean;
  readonly redirect: (host: string, port: number) => Endpoint | undefined;
  readonly ident: string;
  readonly onLog: (line: string) => void;
}

const check = objectOf({
  name: withDefault(nonEmptyString, 'node-1'),
  host: withDefault(host, '127.0.0.1'),
  port: withDefault(integer(0, 65535), 0),
  username: withDefault(username, 'tunnel'),
  hostKeyType: withDefault(oneOf('ed25519', 'ecdsa', 'rsa'), 'ed25519'),
  authorizedKeys: withDefault(arrayOf(publicKey), []),
  permit: optional(callable),
  redirect: optional(callable),
  ident: withDefault(ident, 'tunnelDialerTesting'),
  onLog: optional(callable),
});

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkOptions(options: SshNodeOptions): Settings {
  const checked = check(options, '');
  const { permit = () => true, redirect = () => undefined, onLog = () => undefined } = options;
  return { ...checked, permit, redirect, onLog };
}

function publicKey(value: unknown, path: string): Buffer {
  const isKey = typeof value === 'string' && /^(ssh|ecdsa)-\S+ \S+/.test(value.trim());
  try {
    if (isKey) return wireFormat(value);
  } catch {
    // The parser's words would not help; the rule below does.
  }
  // A private key may stand here by mistake: its kind only.
  const kind = describeKind(value);
  throw new InvalidOptionError(path, `must be a public key line such as 'ssh-ed25519 AAAA…', got ${kind}`);
}

/** RFC 4253 §4.2: printable, no `-` in the version, 255 bytes with `SSH-2.0-` and CR LF; after a space there may be comments. */
function ident(value: unknown, path: string): string {
  if (typeof value === 'string' && /^[!-,.-~]+( [ -~]*)?$/.test(value) && value.length <= 245) return value;
  throw new InvalidOptionError(
    path,
    `must be a software version such as 'OpenSSH_9.2p1 Debian-2', printable, without 'SSH-2.0-', at most 245 characters; ` +
      `got ${describeValue(value)}`,
  );
}
