import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from './find-program.js';
import type { KeyPair } from './ssh-keys.js';

/** User that exists only in the namespace. */
export const NAMESPACE_USER = 'tunnel';

/**
 * Where the namespace shows the user's home: above it, as tinysshd demands, only directories that nobody else
 * may write to.
 */
const HOME = '/mnt';

const SETUP = `mount --bind "$0/home" ${HOME} && mount --bind "$0/passwd" /etc/passwd && exec "$@"`;

const unshare = (): string[] => [
  'unshare',
  '--mount',
  // Without root, a user namespace gives the right to mount.
  ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
];

/** Whether this system lets us make such a namespace. */
export function canMakeNamespace(): boolean {
  if (findProgram('unshare') === undefined) return false;
  const [program = '', ...args] = unshare();
  return (
    spawnSync(program, [...args, 'mount', '--bind', '/etc/passwd', '/etc/passwd'], { stdio: 'ignore' })
      .status === 0
  );
}

/**
 * The command that runs a server where a user `tunnel` with a home and an authorized key of his own exists.
 * For servers that look for authorized keys nowhere but in the home of a user of the system. The system
 * itself stays as it is.
 */
export function inLoginNamespace(directory: string, key: KeyPair, command: readonly string[]): string[] {
  const ssh = join(directory, 'home', '.ssh');
  mkdirSync(ssh, { recursive: true, mode: 0o700 });
  writeFileSync(join(ssh, 'authorized_keys'), `${key.publicKey}\n`, { mode: 0o600 });
  chmodSync(join(directory, 'home'), 0o700);
  const root = 'root:x:0:0:root:/root:/bin/sh';
  writeFileSync(join(directory, 'passwd'), `${root}\n${NAMESPACE_USER}:x:0:0::${HOME}:/bin/sh\n`);
  return [...unshare(), '/bin/sh', '-c', SETUP, directory, ...command];
}
