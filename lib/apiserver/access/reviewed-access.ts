import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { InvalidOptionError } from '../../errors.js';
import { authorities } from '../../tls/pem.js';
import { tlsSource } from '../../tls/tls-source.js';
import {
  describeKind,
  integer,
  milliseconds,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../../validation.js';
import type { Access, Asker, Caller, RequestAttributes } from '../access.js';
import type { ProxyRequest } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { UpstreamClient } from '../upstream/upstream-client.js';
import { ClientCertificates, type CertificateUser, type ClientAuthorities } from './client-certificate.js';
import { Decisions } from './decisions.js';
import { authorizationIn, impersonationIn, isFrontProxy, isImpersonation } from './identity-headers.js';
import { reviewSelf, reviewSubject } from './review.js';

/** Options of {@link ReviewedAccess}. */
export interface ReviewedAccessOptions {
  /** Who judges. */
  upstream: UpstreamClient;
  /**
   * Authorities, in PEM, whose client certificates are believed: CN is the user, O the groups, as with `--client-ca-file` of kube-apiserver.
   * The server has to ask for certificates and verify them by the same: `requestCert: true, rejectUnauthorized: false, ca`. Their requests
   * go to the upstream in the proxy's name, which therefore must be allowed to impersonate these users and groups. Default: certificates
   * count for nothing.
   *
   * `tlsFiles({ caFile })`, or another source, tells authorities that change, of which the next request of every connection is judged. The
   * server has to be told with `setSecureContext`, too, by which it verifies new connections.
   */
  clientCertificateAuthority?: ClientAuthorities | undefined;
  /** How long it is remembered that something is allowed, in milliseconds. Default: 10 000. */
  allowedMs?: number | undefined;
  /** How long it is remembered that something is not, in milliseconds. Default: 5000. */
  deniedMs?: number | undefined;
  /** How many such decisions are remembered; those of longest ago are forgotten. Default: 8192. */
  maxDecisions?: number | undefined;
}

const upstreamClient: Check<UpstreamClient> = (value, path) => {
  if (value instanceof UpstreamClient) return value;
  throw new InvalidOptionError(path, `must be an UpstreamClient, got ${describeKind(value)}`);
};

const clientAuthorities: Check<ClientAuthorities> = (value, path) =>
  typeof value === 'object' && value !== null && 'current' in value
    ? tlsSource(value, path)
    : authorities(value, path);

const checkOptions = objectOf({
  upstream: upstreamClient,
  clientCertificateAuthority: optional(clientAuthorities),
  allowedMs: withDefault(milliseconds(), 10_000),
  deniedMs: withDefault(milliseconds(), 5000),
  maxDecisions: withDefault(integer(1, 1_000_000), 8192),
} satisfies Record<keyof ReviewedAccessOptions, Check<unknown>>);

/**
 * Lets the upstream say who may do what. A caller is known by a client certificate, or else by a bearer token, which only the upstream can judge;
 * who shows neither is anonymous. What a caller may do is asked for by SelfSubjectAccessReview with their own token and their own
 * `Impersonate-*`, and by SubjectAccessReview for those with a certificate; what is not allowed is denied.
 */
export class ReviewedAccess implements Access {
  readonly #upstream: UpstreamClient;
  readonly #certificates: ClientCertificates | undefined;
  readonly #decisions: Decisions<StatusError>;
  /** Of callers that are known by a certificate. */
  readonly #users = new WeakMap<Caller, CertificateUser>();
  /** Who was known by a token on a connection the last time: nearly always they are the next, too. */
  readonly #lastOn = new WeakMap<object, { readonly authorization: string; readonly caller: Caller }>();
  /** With it, a key tells nothing of a token, not even to who can guess tokens. */
  readonly #secret = randomBytes(32);

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
  constructor(options: ReviewedAccessOptions) {
    const { upstream, clientCertificateAuthority, allowedMs, deniedMs, maxDecisions } = checkOptions(
      options,
      '',
    );
    this.#upstream = upstream;
    this.#decisions = new Decisions({ allowedMs, deniedMs, max: maxDecisions });
    if (clientCertificateAuthority === undefined) return;
    const option = 'clientCertificateAuthority';
    if (!upstream.hasIdentity)
      throw new InvalidOptionError(
        option,
        'needs an upstream with credentials of the proxy, to ask in its name',
      );
    this.#certificates = new ClientCertificates(clientCertificateAuthority, option);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- others have to ask somebody
  async authenticate(request: ProxyRequest): Promise<Caller> {
    const shown = this.#certificates?.shownBy(request) ?? { kind: 'none' };
    // A certificate counts before a token, as with kube-apiserver.
    if (shown.kind === 'good') return this.#withCertificate(shown.user, request);
    const authorization = authorizationIn(request.headers);
    if (authorization === undefined && shown.kind === 'bad')
      throw new StatusError(401, 'Unauthorized', 'Unauthorized');
    const impersonation = impersonationIn(request.rawHeaders);
    if (authorization === undefined || impersonation !== undefined)
      return this.#withHeaders(authorization, impersonation);
    const connection = connectionOf(request);
    const last = this.#lastOn.get(connection);
    if (last?.authorization === authorization) return last.caller;
    const caller = this.#withHeaders(authorization);
    this.#lastOn.set(connection, { authorization, caller });
    return caller;
  }

  #withHeaders(authorization: string | undefined, impersonation: IncomingHttpHeaders = {}): Caller {
    const headers = { ...(authorization !== undefined && { authorization }), ...impersonation };
    const isNobody = authorization === undefined && Object.keys(impersonation).length === 0;
    return {
      key: isNobody ? 'anonymous' : this.#keyOf('headers', Object.entries(headers)),
      userName: isNobody ? 'system:anonymous' : undefined,
      upstreamHeaders: () => Promise.resolve({ ...headers }),
    };
  }

  async authorize(attributes: RequestAttributes, asker: Asker): Promise<void> {
    const { caller } = asker;
    const { verb, resource, subresource, namespace = '', name } = attributes;
    const key = JSON.stringify([caller.key, verb, resource, subresource, namespace, name]);
    const user = this.#users.get(caller);
    const ask = () =>
      user === undefined
        ? reviewSelf(this.#upstream, caller, attributes)
        : reviewSubject(this.#upstream, user, attributes);
    const { refusal } = await this.#decisions.get(key, ask, asker);
    if (refusal !== undefined) throw refusal;
  }

  #withCertificate(user: CertificateUser, { headers }: ProxyRequest): Caller {
    const claim = Object.keys(headers).find((name) => isImpersonation(name) || isFrontProxy(name));
    if (claim !== undefined) {
      const problem = `a user with a client certificate cannot be taken for another by ${claim} here: use a token for that`;
      throw new StatusError(403, 'Forbidden', problem);
    }
    const caller: Caller = {
      key: this.#keyOf('certificate', user),
      userName: user.name,
      isImpersonated: true,
      upstreamHeaders: async () => ({
        ...(await this.#upstream.ownHeaders()),
        'impersonate-user': encoded(user.name),
        ...(user.groups.length > 0 && { 'impersonate-group': user.groups.map(encoded) }),
      }),
    };
    this.#users.set(caller, user);
    return caller;
  }

  #keyOf(kind: string, content: unknown): string {
    const digest = createHmac('sha256', this.#secret).update(JSON.stringify(content)).digest('base64url');
    return `${kind}:${digest}`;
  }
}

/** Headers are bytes; Kubernetes reads UTF-8 in them. */
const encoded = (text: string): string => Buffer.from(text).toString('latin1');

/** In HTTP/2, `socket` is not the same object twice. */
const connectionOf = (request: ProxyRequest): object =>
  ('stream' in request ? request.stream.session : undefined) ?? request.socket;
