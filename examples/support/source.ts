import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { knownHosts, pinnedHostKey, type HostKeyVerifier } from 'tunnel-dialer';
import type { KubeletClientOptions } from 'tunnel-dialer/kubelet';
import {
  UsageError,
  type ContainerName,
  type HostAndPort,
  type LogOptions,
  type Options,
} from './arguments.js';

/** Where a log comes from and all that is needed to get it. */
export interface LogSource {
  readonly node: HostAndPort;
  /** Where the node reaches its own kubelet. Default: at its address. */
  readonly selfAddress?: string | undefined;
  readonly ssh: {
    readonly username: string;
    readonly privateKey?: string | undefined;
    readonly passphrase?: string | undefined;
    /** Socket of an ssh-agent. */
    readonly agent?: string | undefined;
    readonly hostKeys: HostKeyVerifier;
  };
  readonly kubelet: Omit<KubeletClientOptions, 'node'>;
  readonly container: ContainerName;
  readonly log: LogOptions;
}

/**
 * Reads the files that the options name.
 *
 * @throws UsageError
 */
export function sourceOf(
  options: Options,
  environment: Readonly<Record<string, string | undefined>>,
): LogSource {
  const { node, selfAddress, user, container, log } = options;
  const { SSH_AUTH_SOCK: agent, KUBELET_LOGS_PASSPHRASE: passphrase } = environment;
  if (options.key === undefined && !agent) {
    throw new UsageError(
      'there is nothing to log in with: give --key FILE, or start ssh-agent, which sets SSH_AUTH_SOCK',
    );
  }
  const privateKey = file('key', options.key);
  return {
    node,
    selfAddress,
    ssh: {
      username: user,
      ...(privateKey === undefined ? { agent } : { privateKey, passphrase }),
      hostKeys: hostKeys(options),
    },
    kubelet: {
      port: options.kubeletPort,
      ...(options.insecureSkipTlsVerify
        ? { insecureSkipTLSVerify: true }
        : {
            certificateAuthority: file('ca', options.ca) ?? rootCertificates,
            serverName: options.tlsServerName,
          }),
      clientCertificate: file('cert', options.cert),
      clientKey: file('client-key', options.clientKey),
      token: file('token-file', options.tokenFile),
    },
    container,
    log,
  };
}

function hostKeys({ hostKey, knownHosts: path }: Options): HostKeyVerifier {
  if (hostKey !== undefined) return pinnedHostKey(hostKey);
  return knownHosts(path ?? join(homedir(), '.ssh', 'known_hosts'));
}

function file(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(
      `--${option}: cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`,
    );
  }
}
