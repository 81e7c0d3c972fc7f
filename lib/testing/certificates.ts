/*
 * X.509 certificates (RFC 5280) made with node:crypto alone, so that demos and tests need no openssl.
 */
import { createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { InvalidOptionError } from '../errors.js';
import {
  arrayOf,
  describeKind,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  type Check,
} from '../validation.js';
import { newEcdsaKey } from '../ssh/login/new-key.js';

/** A certificate and its private key, both in PEM: the key as PKCS #8. */
export interface KeyAndCertificate {
  readonly certificate: string;
  readonly privateKey: string;
}

/** Whom a certificate is for. */
export interface Subject {
  /** CN: the user, where a client certificate logs in to Kubernetes. */
  readonly commonName: string;
  /** O: the group, there. */
  readonly organization?: string | undefined;
  /** DNS names and IP addresses that the certificate is good for. Default: none. */
  readonly altNames?: readonly string[] | undefined;
  /** Default: both. */
  readonly purpose?: 'server' | 'client' | undefined;
  /** Default: an hour ago. */
  readonly notBefore?: Date | undefined;
  /** Default: in a day. */
  readonly notAfter?: Date | undefined;
}

/** A certificate authority, made by {@link createAuthority}. */
export interface Authority {
  /** Its certificate in PEM: what `ca` of `node:tls` takes. */
  readonly certificate: string;
  /**
   * Makes a key (ECDSA, P-256) and a certificate for it.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  issue(subject: Subject): KeyAndCertificate;
}

interface Issuer {
  readonly name: Buffer;
  readonly key: KeyObject;
}

/** A point in time that a certificate can have. */
export const date: Check<Date> = (value, path) => {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw new InvalidOptionError(path, `must be a valid Date, got ${describeKind(value)}`);
};

const checkSubject = objectOf({
  commonName: nonEmptyString,
  organization: optional(nonEmptyString),
  altNames: optional(arrayOf(nonEmptyString)),
  purpose: optional(oneOf('server', 'client')),
  notBefore: optional(date),
  notAfter: optional(date),
});

/**
 * Makes a certificate authority whose key lives in this process only. For tests and demos: nothing is revoked, and nobody is asked who
 * they are.
 *
 * @example
 * ```ts
 * import { createAuthority } from 'tunnel-dialer/testing';
 *
 * const authority = createAuthority('test-ca');
 * const { certificate, privateKey } = authority.issue({ commonName: 'node-1', altNames: ['node-1', '127.0.0.1'] });
 * const server = https.createServer({ cert: certificate, key: privateKey });
 * const agent = httpsAgent(dialer, { ca: authority.certificate });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function createAuthority(commonName: string): Authority {
  nonEmptyString(commonName, 'commonName');
  const { publicKey, privateKey } = newKey();
  const issuer: Issuer = { name: distinguishedName({ commonName }), key: privateKey };
  const usage = [
    extension(OID.basicConstraints, sequence(boolean(true)), true),
    extension(OID.keyUsage, bits(0x06), true),
  ];
  return {
    certificate: certificate(issuer, { commonName }, publicKey, usage),
    issue(given) {
      const subject = checkSubject(given, 'subject');
      const key = newKey();
      return issue(issuer, subject, key);
    },
  };
}

/** A certificate that nobody vouches for but its own key. */
export function selfSigned(subject: Subject): KeyAndCertificate {
  const key = newKey();
  return issue({ name: distinguishedName(subject), key: key.privateKey }, subject, key);
}

interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

function newKey(): Keys {
  const privateKey = newEcdsaKey();
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

function issue(issuer: Issuer, subject: Subject, { publicKey, privateKey }: Keys): KeyAndCertificate {
  const { altNames = [], purpose } = subject;
  const purposes = [
    ...(purpose === 'client' ? [] : [oid(OID.serverAuth)]),
    ...(purpose === 'server' ? [] : [oid(OID.clientAuth)]),
  ];
  const extensions = [
    extension(OID.keyUsage, bits(0x80), true),
    extension(OID.extendedKeyUsage, sequence(...purposes)),
    ...(altNames.length > 0 ? [extension(OID.subjectAltName, sequence(...altNames.map(generalName)))] : []),
  ];
  return {
    certificate: certificate(issuer, subject, publicKey, extensions),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function certificate(issuer: Issuer, subject: Subject, publicKey: KeyObject, extensions: Buffer[]): string {
  const hour = 3_600_000;
  const { notBefore = new Date(Date.now() - hour), notAfter = new Date(Date.now() + 24 * hour) } = subject;
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const toBeSigned = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))), // version 3
    tagged(0x02, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])), // serial number, positive
    algorithm,
    issuer.name,
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', toBeSigned, issuer.key)]));
  const base64 = sequence(toBeSigned, algorithm, signature).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

const OID = {
  ecdsaWithSha256: '2a8648ce3d040302',
  organization: '55040a',
  commonName: '550403',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  extendedKeyUsage: '551d25',
  subjectAltName: '551d11',
  serverAuth: '2b06010505070301',
  clientAuth: '2b06010505070302',
} as const;

function distinguishedName({ organization, commonName }: Subject): Buffer {
  const attribute = (type: string, value: string): Buffer =>
    tagged(0x31, sequence(oid(type), tagged(0x0c, Buffer.from(value))));
  return sequence(
    ...(organization === undefined ? [] : [attribute(OID.organization, organization)]),
    attribute(OID.commonName, commonName),
  );
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? tagged(0x82, Buffer.from(name)) : tagged(0x87, ipBytes(name));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // As URLs spell it: without an IPv4 address at its end.
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => parseInt(word, 16));
  const [left, right] = [words(head), words(tail)];
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), tagged(0x04, value));
}

/** DER (X.690): tag, length, content. */
function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...members: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(members));
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

/** A BIT STRING of up to eight bits. */
function bits(byte: number): Buffer {
  return tagged(0x03, Buffer.from([Math.clz32(byte & -byte) ^ 31, byte]));
}

/** RFC 5280 §4.1.2.5: UTCTime for the years up to 2049, GeneralizedTime after. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(digits.slice(2)))
    : tagged(0x18, Buffer.from(digits));
}
