import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { engineProblem } from './container-engine.js';
import { findProgram } from './find-program.js';

const PACKAGE = 'openssh-server';

/** An sshd to test against, on this machine or in a container; or why there is none and what to install. */
export type SshdFound =
  { readonly where: 'here' | 'container' } | { readonly where: 'nowhere'; readonly problem: string };

/** Says no to every service that a package wants to start (invoke-rc.d(8), deb-systemd-invoke(1p)). */
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const START_NOTHING = '#!/bin/sh\nexit 101\n';

function aptGet(...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Installs Debian's package, if this system has apt-get and lets us; gives the reason if not. */
function install(): string | undefined {
  if (findProgram('apt-get') === undefined) return 'there is no apt-get';
  if (process.getuid?.() !== 0) return 'only root may';
  console.log(`no sshd found: installing Debian's ${PACKAGE}, without starting its service`);
  const ownPolicy = !existsSync(POLICY_FILE);
  try {
    if (ownPolicy) writeFileSync(POLICY_FILE, START_NOTHING, { mode: 0o755 });
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', PACKAGE);
    return undefined;
  } catch {
    return 'apt-get failed';
  } finally {
    if (ownPolicy) rmSync(POLICY_FILE, { force: true });
  }
}

/**
 * Finds an sshd: the one of this machine; else Debian's package, installed where that is possible; else a
 * container, where there is an engine.
 */
export async function findSshd(): Promise<SshdFound> {
  if (findProgram('sshd') !== undefined) return { where: 'here' };
  const problem = install();
  if (findProgram('sshd') !== undefined) return { where: 'here' };
  const noEngine = await engineProblem();
  if (noEngine === undefined) {
    console.log('no sshd found: testing against one in a container');
    return { where: 'container' };
  }
  const why = `installing it: ${problem ?? 'it holds no sshd'}; a container instead: ${noEngine}`;
  return {
    where: 'nowhere',
    problem: `no sshd to test against: install OpenSSH's server, such as Debian's ${PACKAGE} (${why})`,
  };
}
