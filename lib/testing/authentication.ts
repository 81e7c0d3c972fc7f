import type { AuthContext } from 'ssh2';
import type { Faults } from './faults.js';
import { fingerprint, isSignedBy } from './keys.js';

/** Who may log in. */
export interface LoginRules {
  readonly faults: Faults;
  readonly username: string;
  /** In wire format. */
  readonly authorizedKeys: readonly Buffer[];
}

/** Answers an attempt to log in (RFC 4252) as a sshd does that takes nothing but public keys. */
export function authenticate(attempt: AuthContext, rules: LoginRules, log: (line: string) => void): void {
  const problem = problemOf(attempt, rules);
  if (problem === undefined) {
    // A key without a signature is only asked about (RFC 4252 §7).
    if (attempt.method === 'publickey' && attempt.signature !== undefined) {
      log(`${attempt.username} logged in with ${fingerprint(attempt.key.data)}`);
    }
    attempt.accept();
    return;
  }
  // Every client asks with `none` first, to be told the methods.
  if (attempt.method !== 'none') log(`log-in refused: ${problem}`);
  attempt.reject(['publickey']);
}

function problemOf(attempt: AuthContext, rules: LoginRules): string | undefined {
  const { faults, username, authorizedKeys } = rules;
  if (attempt.method !== 'publickey') return `method ${attempt.method}`;
  if (faults.keysRejected) return 'every key is rejected';
  if (attempt.username !== username) return `unknown user ${JSON.stringify(attempt.username)}`;
  const { key, signature, blob, hashAlgo } = attempt;
  if (!authorizedKeys.some((known) => known.equals(key.data))) return `unknown key ${fingerprint(key.data)}`;
  if (signature === undefined || blob === undefined) return undefined;
  return isSignedBy(key.data, blob, signature, hashAlgo) ? undefined : 'wrong signature';
}
