import { createHash } from 'node:crypto';
import type { Dialer, HostKeyVerifier } from 'tunnel-dialer';

/** Takes a line that tells a person what happens. */
export type Report = (line: string) => void;

/** A dialer that tells how long each dial took. */
export function reportingDialer(dialer: Dialer, report: Report): Dialer {
  return {
    dial: async (host, port, options) => {
      const start = performance.now();
      const socket = await dialer.dial(host, port, options);
      report(
        `dialled ${host}:${port} through ${socket.node} in ${(performance.now() - start).toFixed(1)} ms`,
      );
      return socket;
    },
    close: () => dialer.close(),
    destroy: (error) => dialer.destroy(error),
    [Symbol.asyncDispose]: () => dialer.close(),
  };
}

/** A verifier that tells which host key it has judged, and how. */
export function reportingHostKeys(verifier: HostKeyVerifier, report: Report): HostKeyVerifier {
  return {
    keyTypes: (host) => verifier.keyTypes(host),
    verify: (host, key) => {
      const outcome = verifier.verify(host, key);
      const fingerprint = createHash('sha256').update(key).digest('base64').replace(/=+$/, '');
      report(`host key SHA256:${fingerprint} is ${outcome.verdict}`);
      return outcome;
    },
    confirmed: async (host, key) => verifier.confirmed?.(host, key),
  };
}
