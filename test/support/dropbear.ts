import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Feature } from './applicability.js';
import { findProgram } from './find-program.js';
import { LogLines } from './log-lines.js';
import { canMakeNamespace, inLoginNamespace } from './login-namespace.js';
import { freePort } from './loopback-port.js';
import { describeServer, killTree, OTHER_ADDRESS, type OtherServer } from './other-server.js';
import { onExit } from './reaper.js';
import { generateKeyPair } from './ssh-keys.js';
import { temporaryDirectory } from './sshd-files.js';

/** dropbear's server can be started here. */
export const dropbear: Feature = {
  name: 'dropbear',
  present: findProgram('dropbear') !== undefined && canMakeNamespace(),
};

/** Starts dropbear's server. Needs the feature `dropbear`. */
export async function startDropbear(): Promise<OtherServer> {
  const directory = temporaryDirectory();
  const userKey = generateKeyPair();
  const log = new LogLines();
  const hostKeyFile = join(directory, 'host_key');
  const keygen = ['-t', 'ed25519', '-f', hostKeyFile];
  const printed = execFileSync('dropbearkey', keygen, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const hostKeys = printed.match(/ssh-ed25519 \S+/g) ?? [];

  const port = await freePort(OTHER_ADDRESS);
  const options = [
    '-F',
    '-E',
    '-s',
    '-r',
    hostKeyFile,
    '-p',
    `${OTHER_ADDRESS}:${port}`,
    '-P',
    join(directory, 'pid'),
  ];
  const command = [findProgram('dropbear') ?? 'dropbear', ...options];
  const [program = '', ...args] = inLoginNamespace(directory, userKey, command);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  log.read(child.stderr);
  const forget = onExit(() => {
    killTree(child);
    rmSync(directory, { recursive: true, force: true });
  });

  async function close(): Promise<void> {
    killTree(child);
    await exited;
    rmSync(directory, { recursive: true, force: true });
    forget();
  }

  try {
    await log.waitFor(/Not backgrounding/); // printed when it listens
  } catch (error) {
    await close();
    throw error;
  }
  return describeServer({ port, userKey, hostKeys, log, close });
}
