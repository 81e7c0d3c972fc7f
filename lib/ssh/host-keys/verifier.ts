/** The host whose key is judged: every name and address that means the node, the one connected to first. */
export interface HostIdentity {
  /** Names and IP addresses without brackets or port; the address that is connected to comes first. */
  readonly names: readonly string[];
  /** Port of the node's sshd. */
  readonly port: number;
}

/** What a verifier says of a key. */
export type HostKeyVerdict =
  | { readonly verdict: 'accepted' }
  | {
      readonly verdict: 'rejected';
      readonly reason: 'unknown' | 'mismatch' | 'revoked';
      readonly hint?: string;
    };

/**
 * Judges the host keys of nodes. Synchronous, because a node may present its key again in the midst of a key
 * exchange.
 */
export interface HostKeyVerifier {
  /**
   * Types of the keys known for the host, such as `ssh-ed25519` or `ssh-rsa`, or algorithms that such keys
   * sign with, such as `rsa-sha2-256`; they are offered in this order. `undefined`: offer all.
   */
  keyTypes(host: HostIdentity): readonly string[] | undefined;
  /** Judges a key given as an SSH wire-format blob (RFC 4253 §6.6). */
  verify(host: HostIdentity, key: Buffer): HostKeyVerdict;
  /**
   * Called when the handshake that proved possession of an accepted key has succeeded. The connection waits
   * for it.
   */
  confirmed?(host: HostIdentity, key: Buffer): Promise<void>;
}

/** Whether a value can serve as a {@link HostKeyVerifier}. */
export function isHostKeyVerifier(value: unknown): value is HostKeyVerifier {
  const verifier = value as Partial<HostKeyVerifier> | null | undefined;
  return typeof verifier?.verify === 'function' && typeof verifier.keyTypes === 'function';
}
