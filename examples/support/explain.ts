import { EndpointError, InvalidOptionError, NodeUnavailableError, TransportError } from 'tunnel-dialer';
import { KubeletError, LogCutError } from 'tunnel-dialer/kubelet';
import { UsageError } from './arguments.js';

/** Whether the command was used wrongly, before anything was tried. */
export function isUsage(error: unknown): boolean {
  return error instanceof UsageError || error instanceof InvalidOptionError;
}

/** What went wrong and what to do about it, in one line that is safe for a terminal. */
export function explain(error: unknown): string {
  // A NodeUnavailableError adds when the node is tried again, which matters to programs that go on.
  const told = error instanceof NodeUnavailableError && error.cause instanceof Error ? error.cause : error;
  const problem = problemOf(told);
  const hint = hintFor(told);
  const text = hint === undefined ? problem : `${problem}; ${hint}`;
  // Some texts come from the kubelet, and may have been made to confuse a terminal.
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
}

/** What the library's options are called on the command line. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'nodes[0].name': '--node',
  'nodes[0].address': '--node',
  'nodes[0].selfAddress': '--self-address',
  'ssh.username': '--user',
  'ssh.privateKey': '--key',
  'ssh.passphrase': 'KUBELET_LOGS_PASSPHRASE',
  'ssh.agent': 'SSH_AUTH_SOCK',
  'knownHosts(pathOrText)': '--known-hosts',
  'pinnedHostKey() argument 1': '--host-key',
  certificateAuthority: '--ca',
  clientCertificate: '--cert',
  clientKey: '--client-key',
  serverName: '--tls-server-name',
  token: '--token-file',
  sinceTime: '--since',
};

function problemOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message } = error;
  if (error instanceof KubeletError) return `the kubelet answered ${error.status}: ${error.text}`;
  if (error instanceof LogCutError) return problemOf(error.cause);
  if (error instanceof InvalidOptionError) {
    const argument = ARGUMENTS[error.option];
    return argument === undefined ? message : `${argument}${message.slice(error.option.length)}`;
  }
  const { code } = error as { code?: unknown };
  if (isCertificate(code)) return `the kubelet's certificate is refused (${message})`;
  if (isOpenSsl(code)) {
    return `there is no TLS with the kubelet (${/SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message})`;
  }
  if (code === 'ECONNRESET' && !(error instanceof TransportError))
    return `the kubelet closed the connection (${message})`;
  return message;
}

/** OpenSSL's reasons to say that it does not know the authority of a certificate. */
const UNKNOWN_AUTHORITY: unknown[] = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

const STATUS_HINTS: Readonly<Record<number, string>> = {
  401: 'identify yourself: --cert and --client-key with a certificate of its client CA, or --token-file',
  403: 'this user may not use the kubelet: bind it to the ClusterRole system:kubelet-api-admin',
  404: 'does the pod run on this node, in this --namespace, with a container of this name?',
};

function hintFor(error: unknown): string | undefined {
  if (error instanceof KubeletError) return STATUS_HINTS[error.status];
  if (error instanceof LogCutError) {
    const rest = `--since ${error.lastTime ?? 'TIME'}`;
    return error.cause instanceof TransportError
      ? `what was printed is not all; run it again, with ${rest} for the rest`
      : undefined;
  }
  if (error instanceof EndpointError) {
    return 'is the kubelet up? --kubelet-port and --self-address 127.0.0.1 say where the node finds it';
  }
  const { code } = error as { code?: unknown };
  if (UNKNOWN_AUTHORITY.includes(code)) {
    return '--ca takes its authority, or the certificate itself: /var/lib/kubelet/pki/kubelet.crt';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '--tls-server-name takes one of the names that it has';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "check the node's clock, and yours";
  if (isOpenSsl(code)) return 'is it a kubelet that listens on --kubelet-port?';
  return undefined;
}

function isCertificate(code: unknown): boolean {
  return UNKNOWN_AUTHORITY.includes(code) || /^(ERR_TLS_CERT_|CERT_)/.test(String(code));
}

function isOpenSsl(code: unknown): boolean {
  return code === 'EPROTO' || String(code).startsWith('ERR_SSL_');
}
