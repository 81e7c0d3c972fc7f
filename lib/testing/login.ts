import { type HostKey, wireFormat } from './keys.js';

/** A node as `TunnelDialer` takes it in `nodes`. Spread it to say more: `{ ...node.spec, podCIDRs: ['10.244.1.0/24'] }`. */
export interface SshNodeSpec {
  readonly name: string;
  /** Address that the node listens on. */
  readonly address: string;
  readonly port: number;
  /** `SHA256:…` of the host key that the node shows now. */
  readonly hostKey: string;
  readonly username: string;
}

/** How to log in to a node, as `TunnelDialer` takes it in `ssh`. */
export interface SshNodeLogin {
  readonly username: string;
  /** PEM text, without a passphrase. */
  readonly privateKey: string;
  /** Accepts the host key that the node showed when this was read, and no other. */
  readonly hostKeys: PinnedHostKey;
}

/** A verifier that knows one key. */
export interface PinnedHostKey {
  keyTypes(): readonly string[];
  verify(
    host: { readonly port: number },
    key: Buffer,
  ):
    | { readonly verdict: 'accepted' }
    | { readonly verdict: 'rejected'; readonly reason: 'unknown' | 'mismatch'; readonly hint: string };
}

/** Knows the key of the node that listens on this port, and nothing of others. */
export function pinTo(hostKey: HostKey, port: number): PinnedHostKey {
  const known = wireFormat(hostKey.publicKey);
  return {
    keyTypes: () => [hostKey.type],
    verify: (host, key) => {
      if (known.equals(key)) return { verdict: 'accepted' };
      const reason = host.port === port ? 'mismatch' : 'unknown';
      return { verdict: 'rejected', reason, hint: `the node's key was ${hostKey.fingerprint}` };
    },
  };
}
