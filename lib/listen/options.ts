import { dirname, resolve } from 'node:path';
import { InvalidOptionError } from '../errors.js';
import {
  boolean,
  callable,
  describeKind,
  describeValue,
  host,
  integer,
  milliseconds,
  nonEmptyString,
  objectOf,
  optional,
  port,
  withDefault,
  type Check,
} from '../validation.js';
import { isLoopback, type TcpPlace, type UnixPlace } from './address.js';
import { PRIVATE_NAME_BYTES } from './unix-socket.js';

/** What every listener takes. */
export interface LocalOptions<At extends TcpPlace | UnixPlace = TcpPlace | UnixPlace> {
  /** The local side. Default: 127.0.0.1 and a free port. */
  at?: At | undefined;
  /** Name of the node that must carry the dials: `dial`'s `node`. Default: routed by host. */
  via?: string | undefined;
  /** Deadline of each dial in milliseconds. Default: the dialer's. */
  timeoutMs?: number | undefined;
  /** How many clients may be connected at once; one more is reset. Default: 1024. */
  maxConnections?: number | undefined;
  /** How long `close()` waits for open streams, in milliseconds. Default: 30 000. */
  graceMs?: number | undefined;
  /**
   * Is told what a client is told only by a reset or a code: errors of dials, of streams that were cut, and of accepting. `DEBUG=tunnel-dialer:listen`
   * prints them, too.
   */
  onError?: ((error: Error) => void) | undefined;
}

/** Options of {@link listen}. */
export interface ListenOptions<
  At extends TcpPlace | UnixPlace = TcpPlace | UnixPlace,
> extends LocalOptions<At> {
  /** The endpoint's host, as `dial` takes it; a DNS name is resolved on the node. */
  host: string;
  /** The endpoint's port. */
  port: number;
}

/** What the two proxies take. */
export interface ProxyOptions<
  At extends TcpPlace | UnixPlace = TcpPlace | UnixPlace,
> extends LocalOptions<At> {
  /** Who may use the proxy, together with `password`. Both travel in the clear between the client and the proxy. Default: everybody. */
  username?: string | undefined;
  /** At most 255 bytes. */
  password?: string | undefined;
  /** How long a client may take until it has said where to, in milliseconds. Default: 10 000. */
  requestTimeoutMs?: number | undefined;
  /**
   * Lets a proxy without a password listen where other machines reach it: everybody there gets wherever the nodes get. Default: false, and such
   * a proxy is refused.
   */
  insecureWithoutPassword?: boolean | undefined;
}

/** Options of {@link socks5}. */
export type Socks5Options<At extends TcpPlace | UnixPlace = TcpPlace | UnixPlace> = ProxyOptions<At>;

/** Options of {@link httpConnect}. */
export interface HttpConnectOptions<
  At extends TcpPlace | UnixPlace = TcpPlace | UnixPlace,
> extends ProxyOptions<At> {
  /** Largest head of a request, in bytes; a larger one gets 431. Default: 16 384. */
  maxHeadBytes?: number | undefined;
}

/** `sun_path` of unix(7) has 108 bytes, with the NUL. */
const MAX_PATH_BYTES = 107;

const unixPath: Check<string> = (value, path) => {
  const given = resolve(nonEmptyString(value, path));
  if (given.includes('\0')) throw new InvalidOptionError(path, 'must not contain NUL');
  const longest = Math.max(Buffer.byteLength(given), Buffer.byteLength(dirname(given)) + PRIVATE_NAME_BYTES);
  if (longest <= MAX_PATH_BYTES) return given;
  throw new InvalidOptionError(
    path,
    `is too long for a UNIX socket: with its folder it may have ${MAX_PATH_BYTES} bytes, and needs ${longest}`,
  );
};

const tcpPlace = objectOf({
  host: withDefault(host, '127.0.0.1'),
  port: withDefault(integer(0, 65_535), 0),
} satisfies Record<keyof TcpPlace, Check<unknown>>);

const unixPlace = objectOf({ path: unixPath } satisfies Record<keyof UnixPlace, Check<unknown>>);

/** Where to listen, with everything filled in. */
export type CheckedPlace =
  { readonly kind: 'unix'; readonly path: string } | { readonly kind: 'tcp'; host: string; port: number };

const place: Check<CheckedPlace> = (value, path) => {
  if (typeof value === 'object' && value !== null && 'path' in value) {
    if ('host' in value || 'port' in value) {
      throw new InvalidOptionError(path, 'has a path and a host or port: give one or the other');
    }
    return { kind: 'unix', ...unixPlace(value, path) };
  }
  if (value !== undefined && (typeof value !== 'object' || value === null)) {
    throw new InvalidOptionError(path, `must be { host, port } or { path }, got ${describeValue(value)}`);
  }
  const { host, port } = tcpPlace(value ?? {}, path);
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  // By whatever means the machine looks names up, this one must stay on it.
  return { kind: 'tcp', host: bare.toLowerCase() === 'localhost' ? '127.0.0.1' : bare, port };
};

const local = {
  at: place,
  via: optional(nonEmptyString),
  timeoutMs: optional(milliseconds(1)),
  maxConnections: withDefault(integer(1, 1_000_000), 1024),
  graceMs: withDefault(milliseconds(), 30_000),
  onError: optional(callable as Check<(error: Error) => void>),
} satisfies Record<keyof LocalOptions, Check<unknown>>;

/** At most 255 bytes, RFC 1929 §2. It may be shown no more than its kind. */
const secret: Check<string> = (value, path) => {
  if (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 255) return value;
  throw new InvalidOptionError(path, `must be a string of 1 to 255 bytes, got ${describeKind(value)}`);
};

const proxy = {
  ...local,
  username: optional(secret),
  password: optional(secret),
  requestTimeoutMs: withDefault(milliseconds(1), 10_000),
  insecureWithoutPassword: withDefault(boolean, false),
} satisfies Record<keyof ProxyOptions, Check<unknown>>;

/** As `objectOf`, for those who know `dial`. */
function optionsOf<Checks extends Record<string, Check<unknown>>>(
  checks: Checks,
): ReturnType<typeof objectOf<Checks>> {
  const check = objectOf(checks);
  return (value, path) => {
    if (typeof value === 'object' && value !== null && 'node' in value)
      throw new InvalidOptionError('node', 'is not a known option; here it is called via');
    return check(value, path);
  };
}

const checkListen = optionsOf({ ...local, host, port });
const checkSocks5 = optionsOf(proxy);
const checkHttpConnect = optionsOf({
  ...proxy,
  maxHeadBytes: withDefault(integer(1_024, 1_048_576), 16_384),
});

/** What is common to the options of all listeners. */
export type CheckedLocal = Omit<ReturnType<typeof checkListen>, 'host' | 'port'>;
type CheckedProxy = ReturnType<typeof checkSocks5>;

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkListenOptions = (options: unknown): ReturnType<typeof checkListen> =>
  checkListen(options, '');

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkSocks5Options = (options: unknown): CheckedProxy => guarded(checkSocks5(options, ''));

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkHttpConnectOptions(options: unknown): ReturnType<typeof checkHttpConnect> {
  const checked = guarded(checkHttpConnect(options, ''));
  if (checked.username?.includes(':') !== true) return checked;
  // RFC 7617 §2: nobody could tell where the password begins.
  throw new InvalidOptionError('username', 'must not contain a colon');
}

function guarded<Options extends CheckedProxy>(options: Options): Options {
  const { at, username, password, insecureWithoutPassword } = options;
  if ((username === undefined) !== (password === undefined)) {
    const missing = username === undefined ? 'username' : 'password';
    throw new InvalidOptionError(missing, 'is missing: username and password go together');
  }
  if (at.kind === 'unix' || isLoopback(at.host) || password !== undefined || insecureWithoutPassword) {
    return options;
  }
  throw new InvalidOptionError(
    'at.host',
    `${at.host} may be reached from other machines, and whoever reaches the proxy gets wherever the nodes get: set username and password, or insecureWithoutPassword: true`,
  );
}
