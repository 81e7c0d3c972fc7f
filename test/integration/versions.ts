import { spawnSync } from 'node:child_process';
import { findProgram } from '../support/find-program.js';

/** Version of this machine's sshd, such as 9.2; 0 if there is none. */
export function openSshVersion(): number {
  const program = findProgram('sshd');
  if (program === undefined) return 0;
  // `-V` prints the version; an sshd too old to know it prints the version above its usage.
  const { stderr } = spawnSync(program, ['-V'], { encoding: 'utf8' });
  return Number(/OpenSSH_(\d+\.\d+)/.exec(stderr)?.[1] ?? 0);
}
