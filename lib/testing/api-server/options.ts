import { randomBytes } from 'node:crypto';
import { InvalidOptionError } from '../../errors.js';
import {
  arrayOf,
  boolean,
  describeKind,
  host,
  integer,
  nonEmptyString,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../../validation.js';
import type { KnownUser } from './identity.js';
import { apiObject, type ApiObject } from './objects.js';
import { apiRule, type ApiRule } from './rules.js';

/** A user of the fake API server. */
export interface ApiUser {
  readonly name: string;
  /** Default: none. `system:masters` may do everything. */
  readonly groups?: readonly string[] | undefined;
  /** Their bearer token. Default: a random one, which `kubeconfig()` and `tokenOf()` know. */
  readonly token?: string | undefined;
}

/** Options of {@link startApiServer}; all of them have a default. */
export interface ApiServerOptions {
  /** Address to listen on. Default: `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: 0, a free one. */
  port?: number | undefined;
  /** Names and IP addresses that the serving certificate is good for. Default: `host`. */
  altNames?: readonly string[] | undefined;
  /** Who has a token. Default: `admin` of `system:masters`. */
  users?: readonly ApiUser[] | undefined;
  /** Who may do what, beside what every cluster grants. Default: nobody anything. */
  rules?: readonly ApiRule[] | undefined;
  /** Nodes, pods, services, endpoints and endpointslices that are there from the beginning. Default: none. */
  objects?: readonly ApiObject[] | undefined;
  /** Whether it knows EndpointSlices, as all clusters since 1.21 do. Default: true. */
  endpointSlices?: boolean | undefined;
}

/** The options with defaults filled in. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly altNames: readonly string[];
  readonly users: readonly KnownUser[];
  readonly rules: readonly ApiRule[];
  readonly objects: readonly ApiObject[];
  readonly endpointSlices: boolean;
}

/** A token is a secret: its kind only. The characters are those of RFC 6750 §2.1. */
const token: Check<string> = (value, path) => {
  if (typeof value === 'string' && /^[\w.~+/-]+=*$/.test(value)) return value;
  throw new InvalidOptionError(path, `must be a bearer token, got ${describeKind(value)}`);
};

const user = objectOf({
  name: nonEmptyString,
  groups: withDefault(arrayOf(nonEmptyString), []),
  token: optional(token),
} satisfies Record<keyof ApiUser, Check<unknown>>);

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkUser(value: unknown, path: string): KnownUser {
  const checked = user(value, path);
  return { ...checked, token: checked.token ?? randomBytes(24).toString('base64url') };
}

const check = objectOf({
  host: withDefault(host, '127.0.0.1'),
  port: withDefault(integer(0, 65535), 0),
  altNames: optional(arrayOf(nonEmptyString)),
  users: withDefault(arrayOf<KnownUser>(checkUser), [
    checkUser({ name: 'admin', groups: ['system:masters'] }, ''),
  ]),
  rules: withDefault(arrayOf(apiRule), []),
  objects: withDefault(arrayOf(apiObject), []),
  endpointSlices: withDefault(boolean, true),
} satisfies Record<keyof ApiServerOptions, Check<unknown>>);

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkOptions(options: ApiServerOptions): Settings {
  const checked = check(options, '');
  const address = checked.host.replace(/^\[(.*)\]$/, '$1');
  return { ...checked, host: address, altNames: checked.altNames ?? [address] };
}
