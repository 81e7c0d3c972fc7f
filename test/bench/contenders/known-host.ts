import type { SshAccess } from '../../support/sshd.js';

/** What compares the host key that a server has shown, as it goes over the wire, with those it is known by. */
export function hostVerifier({ hostKeys }: SshAccess): (key: Buffer) => boolean {
  const known = new Set(hostKeys.map((line) => line.split(' ')[1]));
  return (key) => known.has(key.toString('base64'));
}
