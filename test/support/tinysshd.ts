import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Feature } from './applicability.js';
import { findProgram } from './find-program.js';
import { LogLines } from './log-lines.js';
import { canMakeNamespace, inLoginNamespace } from './login-namespace.js';
import { describeServer, killTree, OTHER_ADDRESS, type OtherServer } from './other-server.js';
import { onExit } from './reaper.js';
import { generateKeyPair } from './ssh-keys.js';
import { temporaryDirectory } from './sshd-files.js';

/**
 * tinysshd can be started here. It forwards nothing (tinysshd(8); its packet_channel_open.c): whatever
 * channel is not the one session it allows is refused with reason 1, administratively prohibited.
 */
export const tinysshd: Feature = {
  name: 'tinysshd',
  // Only root: it changes its groups, which a user namespace does not allow.
  present: findProgram('tinysshd-makekey') !== undefined && process.getuid?.() === 0 && canMakeNamespace(),
};

/** Starts tinysshd, one process per connection as inetd would. Needs the feature `tinysshd`. */
export async function startTinysshd(): Promise<OtherServer> {
  const directory = temporaryDirectory();
  const userKey = generateKeyPair();
  const log = new LogLines();
  const keys = join(directory, 'keys');
  execFileSync(findProgram('tinysshd-makekey') ?? 'tinysshd-makekey', [keys]);
  const printed = execFileSync(findProgram('tinysshd-printkey') ?? 'tinysshd-printkey', [keys], {
    encoding: 'utf8',
  });
  const hostKeys = printed.match(/ssh-ed25519 \S+/g) ?? [];
  const command = inLoginNamespace(directory, userKey, [findProgram('tinysshd') ?? 'tinysshd', '-v', keys]);

  const children = new Set<ChildProcess>();
  const server = createServer({ pauseOnConnect: true }, (socket: Socket) => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, { stdio: [socket, socket, 'pipe'] });
    children.add(child);
    child.once('close', () => children.delete(child));
    log.read(child.stderr);
    socket.destroy(); // the child has the connection now
  });
  server.listen(0, OTHER_ADDRESS);
  await once(server, 'listening');
  const forget = onExit(() => {
    for (const child of children) killTree(child);
    rmSync(directory, { recursive: true, force: true });
  });

  async function close(): Promise<void> {
    if (!server.listening) return;
    const closed = [once(server, 'close'), ...[...children].map((child) => once(child, 'close'))];
    server.close();
    for (const child of children) killTree(child);
    await Promise.all(closed);
    rmSync(directory, { recursive: true, force: true });
    forget();
  }

  const { port } = server.address() as AddressInfo;
  return describeServer({ port, userKey, hostKeys, log, close });
}
