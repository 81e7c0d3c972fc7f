import { InvalidOptionError } from '../errors.js';
import { authorities, pem } from '../tls/pem.js';
import { tlsSource } from '../tls/tls-source.js';
import {
  arrayOf,
  boolean,
  milliseconds,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  port,
  withDefault,
  type Check,
} from '../validation.js';
import type { KubeletClientOptions } from './client-options.js';
import { KUBELET_ADDRESS_TYPES, type KubeletAddressType } from './kubelet-node.js';
import { token } from './token.js';

const addressTypes: Check<readonly KubeletAddressType[]> = (value, path) => {
  const types = arrayOf(oneOf(...KUBELET_ADDRESS_TYPES))(value, path);
  if (types.length > 0) return types;
  throw new InvalidOptionError(path, 'must name at least one type of address');
};

const fingerprint: Check<string> = (value, path) => {
  const text = nonEmptyString(value, path).trim();
  const digits = text
    .replace(/^sha256 fingerprint=/i, '')
    .replaceAll(':', '')
    .toUpperCase();
  if (/^[0-9A-F]{64}$/.test(digits)) return digits;
  throw new InvalidOptionError(
    path,
    'must be a SHA-256 fingerprint, 64 hexadecimal digits with or without colons, as openssl x509 -fingerprint -sha256 shows it',
  );
};

/** Each option by itself; what they say of each other is judged where it is used. */
export const checkOptions = objectOf({
  node: (value: unknown) => value,
  port: optional(port),
  addressTypes: withDefault(addressTypes, KUBELET_ADDRESS_TYPES),
  certificateAuthority: optional(authorities),
  verifySubject: withDefault(boolean, false),
  serverName: optional(nonEmptyString),
  pinnedCertificate: optional(fingerprint),
  insecureSkipTLSVerify: withDefault(boolean, false),
  clientCertificate: optional(pem),
  clientKey: optional(pem),
  token: optional(token),
  tokenFile: optional(nonEmptyString),
  tls: optional(tlsSource),
  timeoutMs: withDefault(milliseconds(1), 30_000),
} satisfies Record<keyof KubeletClientOptions, Check<unknown>>);

export type CheckedOptions = ReturnType<typeof checkOptions>;
