import ssh2 from 'ssh2';
import type { SshAccess } from '../support/sshd.js';

/** The public half, `type base64`, of the key that logs in to an sshd. */
export function publicKeyOf({ privateKey }: SshAccess): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  return `${key.type} ${key.getPublicSSH().toString('base64')}`;
}
