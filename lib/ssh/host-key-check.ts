import { debug } from '../diagnostics.js';
import { HostKeyError, type TunnelError } from '../errors.js';
import { asTunnelError, describeNode } from './failures.js';
import { fingerprintOf, keyTypeOf } from './host-keys/public-key.js';
import type { HostIdentity, HostKeyVerdict, HostKeyVerifier } from './host-keys/verifier.js';
import { ownCopy } from './own-copy.js';

const DESCRIPTIONS = {
  unknown: 'an unknown host key',
  mismatch: 'another host key than the one on record:',
  revoked: 'a revoked host key',
} as const;

export interface HostKeyCheckTarget {
  readonly node: string;
  readonly host: HostIdentity;
  readonly hostKeys: HostKeyVerifier;
}

/**
 * Judges the key of one connection once and holds the node to it: a node that shows another key in a later key exchange is refused,
 * whatever the verifier would say of it.
 */
export class HostKeyCheck {
  readonly #target: HostKeyCheckTarget;
  #accepted: Buffer | undefined;
  #failure: TunnelError | undefined;

  constructor(target: HostKeyCheckTarget) {
    this.#target = target;
  }

  /** Why the key was refused. */
  get failure(): TunnelError | undefined {
    return this.#failure;
  }

  /** For ssh2's `hostVerifier`: called in each key exchange, before the node has proved that it holds the key. */
  readonly judge = (key: Buffer): boolean => {
    if (this.#accepted !== undefined) return this.#accepted.equals(key);
    const { node, host, hostKeys } = this.#target;
    try {
      const verdict = hostKeys.verify(host, key);
      if (verdict.verdict !== 'accepted') {
        this.#failure = this.#refusal(key, verdict);
        return false;
      }
    } catch (error) {
      // Thrown on, it would end the connection, too, but with a message of ssh2's.
      this.#failure = asTunnelError(error, node);
      return false;
    }
    debug.hostKeys('%s showed %s %s: accepted', node, keyTypeOf(key), fingerprintOf(key));
    // A copy, because what ssh2 hands out is a view on the packet.
    this.#accepted = ownCopy(key);
    return true;
  };

  /** To be called when the handshake has proved that the node holds the key. */
  async confirm(): Promise<void> {
    const { hostKeys, host } = this.#target;
    if (this.#accepted !== undefined) await hostKeys.confirmed?.(host, this.#accepted);
  }

  #refusal(key: Buffer, { reason, hint }: Exclude<HostKeyVerdict, { verdict: 'accepted' }>): HostKeyError {
    const { node, host } = this.#target;
    const fingerprint = fingerprintOf(key);
    const where = describeNode({ node, address: host.names[0] ?? '', port: host.port });
    const what = `${where} presented ${DESCRIPTIONS[reason]} ${keyTypeOf(key)} ${fingerprint}`;
    return new HostKeyError(reason, fingerprint, hint === undefined ? what : `${what}; ${hint}`, { node });
  }
}
