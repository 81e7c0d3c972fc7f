import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '../../support/find-program.js';
import { waitUntil } from '../../support/processes.js';
import { Absent, type Course } from '../contender.js';
import { openSocket } from './local-socket.js';

/** OpenSSH's client as a process that listens. */
export interface OpenSsh {
  close(): Promise<void>;
}

/**
 * Starts OpenSSH's own client with its defaults and without a command (`ssh -N`).
 *
 * @param forwarding - the options that say what it listens for
 * @param port - one of the local ports it is told to listen on
 * @throws {@link Absent} when there is no `ssh`
 */
export async function startOpenSsh(
  { sshd, directory }: Course,
  forwarding: readonly string[],
  port: number,
): Promise<OpenSsh> {
  const program = findProgram('ssh');
  if (program === undefined) throw new Absent('ssh is not installed (Debian: openssh-client)');
  const home = await mkdtemp(join(directory, 'ssh-'));
  const key = join(home, 'id');
  const knownHosts = join(home, 'known_hosts');
  await writeFile(key, sshd.privateKey, { mode: 0o600 });
  await writeFile(knownHosts, sshd.knownHosts);
  const options = {
    UserKnownHostsFile: knownHosts,
    IdentitiesOnly: 'yes',
    BatchMode: 'yes',
    ExitOnForwardFailure: 'yes',
  };
  const child = spawn(
    program,
    [
      ...['-N', '-F', 'none', '-i', key, '-p', `${sshd.port}`],
      ...Object.entries(options).flatMap(([option, value]) => ['-o', `${option}=${value}`]),
      ...forwarding,
      `${sshd.username}@${sshd.address}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await waitUntil('ssh to listen', () => {
    if (child.exitCode !== null) throw new Error(`ssh ended with code ${child.exitCode}`);
    return answers(port);
  });
  return {
    close: async () => {
      child.kill();
      await exited;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    (await openSocket(port)).destroy();
    return true;
  } catch {
    return false;
  }
}
