import {
  EndpointError,
  InvalidOptionError,
  NodeUnavailableError,
  TransportError,
  TunnelError,
} from 'tunnel-dialer';
import { UndiciSocketError } from 'tunnel-dialer/http';
import { KubeletError, LogCutError } from 'tunnel-dialer/kubelet';
import { UsageError, variableOf } from './command-line.js';

/** What a command advises, where it depends on the command. */
export interface Hints {
  /** Who answers at the endpoint. Default: `the kubelet`. */
  readonly peer?: string;
  /** Whether nodes come from a list: what is wrong with one is no fault of `--node`. */
  readonly listsNodes?: boolean;
  /** Nobody takes the connection at the endpoint. */
  readonly endpoint?: string;
  /** The tunnel broke while a stream was open. */
  readonly cut?: string;
  /** The kubelet cannot tell a command that its stdin has ended. */
  readonly stdinEnd?: string;
  /** What was asked for does not exist. */
  readonly notFound?: string;
}

/** Whether the command was used wrongly, before anything was tried. */
export function isUsage(error: unknown): boolean {
  return error instanceof UsageError || error instanceof InvalidOptionError;
}

/**
 * What went wrong and what to do about it, in one line that is safe for a terminal.
 *
 * @param command - the name of the command that failed
 */
export function explain(error: unknown, command: string, hints: Hints = {}): string {
  const told = reasonOf(error);
  const problem = problemOf(told, command, hints);
  const hint = hintFor(told, hints);
  const text = hint === undefined ? problem : `${problem}; ${hint}`;
  // Some texts come from the kubelet, and may have been made to confuse a terminal.
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
}

/** The error beneath those that add nothing for a person. */
function reasonOf(error: unknown): unknown {
  // A NodeUnavailableError adds when the node is tried again, which matters to programs that go on; a TypeError is `fetch`'s for all that
  // went wrong below it.
  const isWrapping =
    error instanceof NodeUnavailableError || error instanceof UndiciSocketError || error instanceof TypeError;
  return isWrapping && error.cause instanceof Error ? reasonOf(error.cause) : error;
}

/** What the library's options are called on the command line. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'nodes[0].name': '--node',
  'nodes[0].address': '--node',
  'nodes[0].selfAddress': '--self-address',
  'nodes[0].hostKey': '--host-key',
  'ssh.username': '--user',
  'ssh.privateKey': '--key',
  'ssh.agent': 'SSH_AUTH_SOCK',
  'knownHosts(pathOrText)': '--known-hosts',
  'pinnedHostKey() argument 1': '--host-key',
  ca: '--ca',
  cert: '--cert',
  key: '--client-key',
  options: '--cert with --client-key',
  certificateAuthority: '--ca',
  clientCertificate: '--cert',
  clientKey: '--client-key',
  tokenFile: '--token-file',
  serverName: '--tls-server-name',
  insecureSkipTLSVerify: '--insecure-skip-tls-verify',
  namespace: 'the namespace',
  pod: 'the pod',
  container: 'the container',
  sinceSeconds: '--since',
  sinceTime: '--since',
  'at.host': '--listen',
};

function argumentOf(option: string, command: string): string | undefined {
  return option === 'ssh.passphrase' ? variableOf(command, 'passphrase') : ARGUMENTS[option];
}

function problemOf(error: unknown, command: string, hints: Hints): string {
  const { listsNodes = false, peer = KUBELET } = hints;
  if (!(error instanceof Error)) return String(error);
  const { message } = error;
  if (error instanceof KubeletError) return `the kubelet answered ${error.status}: ${error.text}`;
  if (error instanceof LogCutError) return problemOf(error.cause, command, hints);
  if (error instanceof InvalidOptionError) {
    const isListed = listsNodes && error.option.startsWith('nodes[');
    const argument = isListed ? undefined : argumentOf(error.option, command);
    return argument === undefined ? message : `${argument}${message.slice(error.option.length)}`;
  }
  const { code } = error as { code?: unknown };
  if (isCertificate(code)) return `${peer}'s certificate is refused (${message})`;
  if (isOpenSsl(code)) {
    return `there is no TLS with ${peer} (${/SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message})`;
  }
  if (code === 'ECONNRESET' && !(error instanceof TunnelError))
    return `${peer} closed the connection (${message})`;
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
};
const KUBELET = 'the kubelet';
const POD_NOT_FOUND = 'does the pod run on this node, in this --namespace, with a container of this name?';
const KUBELET_ENDPOINT =
  'is the kubelet up? --kubelet-port and --self-address 127.0.0.1 say where the node finds it';

function hintFor(error: unknown, hints: Hints): string | undefined {
  const { endpoint = KUBELET_ENDPOINT, notFound = POD_NOT_FOUND } = hints;
  if (error instanceof KubeletError) return error.status === 404 ? notFound : STATUS_HINTS[error.status];
  if (error instanceof LogCutError) {
    const rest = `--since ${error.lastTime ?? 'TIME'}`;
    return error.cause instanceof TransportError
      ? `what was printed is not all; run it again, with ${rest} for the rest`
      : undefined;
  }
  if (error instanceof EndpointError) return error.code === 'ECONNRESET' ? undefined : endpoint;
  if (error instanceof TransportError && error.code === 'ECONNRESET') return hints.cut;
  const { code } = error as { code?: unknown };
  if (code === 'ERR_KUBELET_NO_HALF_CLOSE' && hints.stdinEnd !== undefined) return hints.stdinEnd;
  if (code === 'EADDRINUSE') return 'take another port';
  const isKubelet = hints.peer === undefined;
  if (UNKNOWN_AUTHORITY.includes(code)) {
    const advice = '--ca takes its authority, or the certificate itself';
    return isKubelet ? `${advice}: /var/lib/kubelet/pki/kubelet.crt` : advice;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return isKubelet ? '--tls-server-name takes one of the names that it has' : undefined;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "check the node's clock, and yours";
  if (isOpenSsl(code))
    return isKubelet ? 'is it a kubelet that listens on --kubelet-port?' : 'is it http://?';
  return undefined;
}

function isCertificate(code: unknown): boolean {
  return UNKNOWN_AUTHORITY.includes(code) || /^(ERR_TLS_CERT_|CERT_)/.test(String(code));
}

function isOpenSsl(code: unknown): boolean {
  return code === 'EPROTO' || String(code).startsWith('ERR_SSL_');
}
