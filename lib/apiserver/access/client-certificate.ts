import { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { InvalidOptionError } from '../../errors.js';
import type { Pem } from '../../tls/pem.js';
import { given, type TlsSource } from '../../tls/tls-source.js';
import type { ProxyRequest } from '../exchange.js';

/** Whom a client certificate is for. */
export interface CertificateUser {
  readonly name: string;
  readonly groups: readonly string[];
}

/** What a client has shown: a certificate that is good, one that is not, or none. */
export type Shown =
  | { readonly kind: 'good'; readonly user: CertificateUser }
  | { readonly kind: 'bad' }
  | { readonly kind: 'none' };

/** PEM, or the `ca` of a source, which may change. */
export type ClientAuthorities = Pem | readonly Pem[] | TlsSource;

interface Looked {
  readonly shown: Shown;
  readonly validTo: number;
  /** The authorities that it was judged by. */
  readonly by: readonly X509Certificate[];
}

/** A chain is no longer than OpenSSL verifies by default. */
const MAX_CHAIN = 100;

/**
 * Tells whom a client certificate is for. It must have been verified by the server's TLS, and lead to one of our authorities: a server that
 * was given no `ca` verifies by those of Node, who issue certificates to anybody.
 */
export class ClientCertificates {
  readonly #authorities: () => readonly X509Certificate[];
  /** Of connections, which make many requests. */
  readonly #known = new WeakMap<TLSSocket, Looked>();

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
  constructor(authorities: ClientAuthorities, option: string) {
    this.#authorities = isSource(authorities)
      ? followed(authorities, option)
      : always(certificatesOf(authorities, option));
    this.#authorities();
  }

  shownBy(request: ProxyRequest): Shown {
    // Of HTTP/2 it is a stand-in, which is not the same for each request.
    const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
    if (!(socket instanceof TLSSocket)) return { kind: 'none' };
    const authorities = this.#authorities();
    const before = this.#known.get(socket);
    const known = before?.by === authorities ? before : this.#look(socket, authorities);
    this.#known.set(socket, known);
    // As kube-apiserver does: a certificate may expire while its connection is up.
    return known.shown.kind === 'good' && Date.now() > known.validTo ? { kind: 'bad' } : known.shown;
  }

  #look(socket: TLSSocket, by: readonly X509Certificate[]): Looked {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return { shown: { kind: 'none' }, validTo: Infinity, by };
    const isGood = socket.authorized && isIssuedBy(by, certificate);
    const user = isGood ? userOf(socket) : undefined;
    const shown: Shown = user === undefined ? { kind: 'bad' } : { kind: 'good', user };
    return { shown, validTo: Date.parse(certificate.validTo), by };
  }
}

function isIssuedBy(authorities: readonly X509Certificate[], leaf: X509Certificate): boolean {
  let certificate: X509Certificate | undefined = leaf;
  for (let depth = 0; depth < MAX_CHAIN && certificate !== undefined; depth += 1) {
    const link: X509Certificate = certificate;
    if (authorities.some((authority) => link.checkIssued(authority) && link.verify(authority.publicKey)))
      return true;
    certificate = link.issuerCertificate;
  }
  return false;
}

/** CN and O (k8s.io/apiserver, pkg/authentication/request/x509, `CommonNameUserConversion`); `undefined` if they cannot be told in headers. */
function userOf(socket: TLSSocket): CertificateUser | undefined {
  const { subject } = socket.getPeerCertificate() as {
    readonly subject?: { readonly CN?: string | readonly string[]; readonly O?: string | readonly string[] };
  };
  // Of several, Go takes the last.
  const name = [subject?.CN ?? []].flat().at(-1) ?? '';
  const groups = [subject?.O ?? []].flat();
  return [name, ...groups].every(isTellable) ? { name, groups } : undefined;
}

/** A header loses blanks at its ends: `admin ` would become `admin`. And what is no UTF-8 would be one with other such names. */
const isTellable = (text: string): boolean =>
  text !== '' && text === text.trim() && !/[\p{Cc}\ufffd]/u.test(text);

const isSource = (authorities: ClientAuthorities): authorities is TlsSource =>
  typeof (authorities as Partial<TlsSource>).current === 'function';

const always =
  <T>(value: T) =>
  (): T =>
    value;

/** The same list as before unless the source tells others. What cannot be used is not believed. */
function followed(source: TlsSource, option: string): () => readonly X509Certificate[] {
  let told: unknown;
  let list: readonly X509Certificate[] = [];
  return () => {
    const { ca } = given(source.current());
    if (ca === told && list.length > 0) return list;
    list = certificatesOf(ca ?? [], option);
    told = ca;
    return list;
  };
}

function certificatesOf(authorities: Pem | readonly Pem[], option: string): readonly X509Certificate[] {
  const certificates = [authorities].flat().flatMap((pem) => certificatesIn(String(pem), option));
  if (certificates.length > 0) return certificates;
  throw new InvalidOptionError(option, 'must have at least one authority');
}

function certificatesIn(pem: string, option: string): readonly X509Certificate[] {
  const blocks = pem
    .split(/(?=-----BEGIN CERTIFICATE-----)/)
    .filter((block) => block.startsWith('-----BEGIN'));
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  } catch {
    // What Node says of it is about OpenSSL.
  }
  throw new InvalidOptionError(
    option,
    'must be certificates in PEM: read the file first, and give its content',
  );
}
