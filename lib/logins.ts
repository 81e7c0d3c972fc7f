import { InvalidOptionError } from './errors.js';
import type { KeyForNode } from './fleet/install-key.js';
import type { Node } from './fleet/node.js';
import { checkCredentialsUpdate, type CheckedOptions, type CredentialsUpdate } from './options.js';
import type { SshTarget } from './ssh/handshake.js';
import { hostKeyVerifierFor } from './ssh/host-keys/pinned-host-key.js';
import type { HostKeyVerifier } from './ssh/host-keys/verifier.js';
import type { JumpHost } from './ssh/jump-host.js';
import { Credentials, type CredentialOptions, type LoginKey } from './ssh/login/credentials.js';

/** How the nodes are logged in to, and how they are known; it may change. */
export class Logins {
  readonly #connectMs: number;
  readonly #installsKey: boolean;
  #username: string;
  #credentials: Credentials;
  #hostKeys: HostKeyVerifier | undefined;

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
  constructor({ ssh, timeouts }: Pick<CheckedOptions, 'ssh' | 'timeouts'>) {
    this.#connectMs = timeouts.connectMs;
    this.#username = ssh.username;
    this.#installsKey = ssh.installKey !== undefined;
    this.#credentials = this.#checked(new Credentials(ssh as CredentialOptions));
    this.#hostKeys = ssh.hostKeys;
  }

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, and changes nothing then */
  update(update: CredentialsUpdate): void {
    const { username, privateKey, passphrase, agent, hostKeys } = checkCredentialsUpdate(update, 'ssh');
    const given = { privateKey, passphrase, agent } as CredentialOptions;
    if (Object.values(given).some((value) => value !== undefined))
      this.#credentials = this.#checked(new Credentials(given));
    this.#username = username ?? this.#username;
    this.#hostKeys = hostKeys ?? this.#hostKeys;
  }

  /** @throws {@link InvalidOptionError} when there is nothing to judge the node's host key by */
  targetOf(node: Node, via: JumpHost | undefined): SshTarget {
    return {
      node: node.name,
      host: { names: [...node.addresses, node.name], port: node.port },
      username: node.username ?? this.#username,
      credentials: this.#credentials,
      hostKeys: this.#hostKeysOf(node),
      connectMs: this.#connectMs,
      via,
    };
  }

  /** What is to be installed on a node for us to be let in. */
  keyFor(node: Node): KeyForNode {
    return { ...loginKeyOf(this.#credentials), username: node.username ?? this.#username };
  }

  #checked(credentials: Credentials): Credentials {
    if (this.#installsKey) loginKeyOf(credentials);
    return credentials;
  }

  #hostKeysOf(node: Node): HostKeyVerifier {
    if (node.hostKey !== undefined) return hostKeyVerifierFor(node.hostKey, `hostKey of ${node.name}`);
    if (this.#hostKeys !== undefined) return this.#hostKeys;
    throw new InvalidOptionError(
      'ssh.hostKeys',
      `is missing, and ${node.name} has no hostKey of its own: pass knownHosts('/etc/ssh/ssh_known_hosts') or pinnedHostKey('SHA256:…')`,
    );
  }
}

function loginKeyOf({ loginKey }: Credentials): LoginKey {
  if (loginKey !== undefined) return loginKey;
  throw new InvalidOptionError(
    'ssh.installKey',
    'needs ssh.privateKey, whose public half it installs: give one, or leave installKey out and put a key of the agent on the nodes yourself',
  );
}
