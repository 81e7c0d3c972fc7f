import type { HostKeyVerifier } from './verifier.js';

let warned = false;

/**
 * A verifier that accepts every host key, so that anybody between here and a node can read and change all
 * that goes through the tunnel. For experiments only. Its first use in a process emits a warning with the
 * code `TUNNEL_DIALER_INSECURE_HOST_KEY`.
 */
export function insecureAcceptAnyHostKey(): HostKeyVerifier {
  if (!warned) {
    warned = true;
    process.emitWarning(
      'tunnel-dialer accepts any host key: who is between here and a node can read and change all traffic. ' +
        'Use knownHosts(), pinnedHostKey() or trustOnFirstUse() instead of insecureAcceptAnyHostKey().',
      { type: 'SecurityWarning', code: 'TUNNEL_DIALER_INSECURE_HOST_KEY' },
    );
  }
  return { keyTypes: () => undefined, verify: () => ({ verdict: 'accepted' }) };
}
