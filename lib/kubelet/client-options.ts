import type { Pem } from '../tls/pem.js';
import type { TlsSource } from '../tls/tls-source.js';
import type { KubeletAddressType, KubeletNode, KubernetesNodeObject } from './kubelet-node.js';
import type { TokenSource } from './token.js';

/**
 * Options of a {@link KubeletClient}. Exactly one of `certificateAuthority`, `tls` that tells authorities, `pinnedCertificate` and
 * `insecureSkipTLSVerify` says how the kubelet is verified; there is no default.
 */
export interface KubeletClientOptions {
  /**
   * Whose kubelet: the node's name, which is its address, too; or name, address and port; or a Node as the cluster's API tells it. The
   * dialer has to know the node by this name, and it carries everything.
   */
  node: string | KubeletNode | KubernetesNodeObject;
  /** The kubelet's port, unless the node says another. Default: 10250. */
  port?: number | undefined;
  /**
   * Which address of a Node of Kubernetes is dialled: the first of the first type that it has. Default: `['Hostname', 'InternalDNS',
   * 'InternalIP', 'ExternalDNS', 'ExternalIP']`, as kube-apiserver.
   */
  addressTypes?: readonly KubeletAddressType[] | undefined;
  /** Authorities that have issued the kubelet's certificate, which must be for the address that is dialled; in PEM. */
  certificateAuthority?: Pem | readonly Pem[] | undefined;
  /**
   * Whether the certificate must also be the node's own, `system:node:<name>` in `system:nodes`, as kube-apiserver does with
   * `--enable-kubelet-cert-cn-validation`. Default: `false`.
   */
  verifySubject?: boolean | undefined;
  /** The name that the certificate must be for in place of the address that is dialled. */
  serverName?: string | undefined;
  /**
   * SHA-256 fingerprint of the kubelet's certificate, in hexadecimal digits with or without colons, as `openssl x509 -fingerprint -sha256`
   * shows it. For a kubelet that has signed its certificate itself; its names and its age do not matter then.
   */
  pinnedCertificate?: string | undefined;
  /** `true`: whoever answers is believed, gets the token, and may forge what it says. */
  insecureSkipTLSVerify?: boolean | undefined;
  /** Our certificate, in PEM, and those that lead to the kubelet's client CA. */
  clientCertificate?: Pem | undefined;
  /** Its private key, in PEM. */
  clientKey?: Pem | undefined;
  /** Bearer token, or a function that tells it for each request. */
  token?: string | TokenSource | undefined;
  /** Path of a file with the bearer token. It is read again when it changes. */
  tokenFile?: string | undefined;
  /** Authorities, certificate and key that change: `tlsFiles(…)`, or a source of your own. */
  tls?: TlsSource | undefined;
  /**
   * How long a call may take, in milliseconds: one for an answer until that is there as a whole, `exec`, `attach` and `portForward` until the
   * stream is open, unless they say otherwise. `logs` has no deadline but for `token`. Default: 30 000.
   */
  timeoutMs?: number | undefined;
}
