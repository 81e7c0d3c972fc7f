import type { IncomingHttpHeaders } from 'node:http';
import type { ProxyRequest } from './exchange.js';

/** What a node-bound request does, in the terms in which kube-apiserver authorizes it (authorization.k8s.io/v1, ResourceAttributes). */
export interface RequestAttributes {
  /** `*`: nothing less than every verb will do. */
  readonly verb: 'get' | 'create' | 'update' | 'patch' | 'delete' | '*';
  readonly resource: 'nodes' | 'pods' | 'services';
  readonly subresource: 'proxy' | 'log' | 'exec' | 'attach' | 'portforward';
  /** None for nodes. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Somebody who makes a request, as far as the upstream is concerned. */
export interface Caller {
  /** Tells callers apart that may do different things, for caches. It holds no secret and never reaches a message. */
  readonly key: string;
  /** For the access log; `undefined` while only the upstream knows. */
  readonly userName: string | undefined;
  /** What makes a request to the upstream theirs: their own `Authorization`, or ours and `Impersonate-*`, or nothing. */
  upstreamHeaders(): Promise<IncomingHttpHeaders>;
  /**
   * Whether the proxy asks in its own name, for them: then a client certificate that it has goes with their requests. It must not with
   * any other's: an API server that is shown a certificate and a token believes the certificate. Default: `false`.
   */
  readonly isImpersonated?: boolean | undefined;
}

/** Who asks for something, and waits for it. */
export interface Asker {
  readonly caller: Caller;
  /** Gives it up; looked at only when there is something to wait for. */
  readonly signal?: AbortSignal | undefined;
}

/** Who a caller is, and what they may do. Never more than the upstream says. */
export interface Access {
  /** @throws StatusError 401 when the caller shows something that is no good, 403 when what they ask to be is not theirs to ask */
  authenticate(request: ProxyRequest): Promise<Caller>;
  /** @throws StatusError 403, 401 when the upstream does not know them, 503 when the upstream cannot be asked */
  authorize(attributes: RequestAttributes, asker: Asker): Promise<void>;
}
