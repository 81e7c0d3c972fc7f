/** A node that a key is to be installed on. */
export interface InstallKeyNode {
  readonly name: string;
  readonly address: string;
  /** Port of its sshd. */
  readonly port: number;
  /** Who is to be let in with the key. */
  readonly username: string;
}

/**
 * Puts a public key on a node, by whatever means there are: the cloud's metadata, an API, configuration management. It may be there
 * already.
 *
 * At most 16 calls are under way at once, one for each node. A call that fails is made again after 1 to 60 s. One that takes longer than
 * 60 s has failed, too, and its signal is aborted, as it is when the node is removed, the key becomes another or the dialer is closed; what
 * becomes of the call after that does not count, but the node gets no other before it has settled.
 *
 * @param publicKey - one line, such as `ssh-ed25519 AAAA…`, as in `authorized_keys`
 */
export type InstallKey = (
  node: InstallKeyNode,
  publicKey: string,
  options: { readonly signal: AbortSignal },
) => Promise<void>;

/** How far our key is installed on a node. */
export interface KeyInstallStatus {
  /**
   * - `pending`: the key in use has not been installed yet
   * - `installed`: it has been
   * - `failing`: the last call of `installKey` failed, whether one has installed the key before or not
   */
  readonly state: 'pending' | 'installed' | 'failing';
  /** The key in use, as `SHA256:…`. */
  readonly fingerprint: string;
  /** When the key in use was last installed, or when it became the one to install if it has not been yet: its lag is the time since then. */
  readonly lagSince: Date;
  /** Which key was installed last, and when: another than the one in use as long as that has not been. */
  readonly installed?: { readonly fingerprint: string; readonly at: Date };
  /** Why the last call failed, and since when they have been failing. */
  readonly failure?: { readonly message: string; readonly since: Date };
}

/** What is to be installed on a node, and for whom. */
export interface KeyForNode {
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly username: string;
}

export const sameKey = (a: KeyForNode, b: KeyForNode): boolean =>
  a.publicKey === b.publicKey && a.username === b.username;
