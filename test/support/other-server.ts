import type { ChildProcess } from 'node:child_process';
import type { LogLines } from './log-lines.js';
import { NAMESPACE_USER } from './login-namespace.js';
import { descendantsOf, processTable, signal } from './processes.js';
import { knownHostsText, type KeyPair } from './ssh-keys.js';
import { LOOPBACK, type EndpointPlace, type SshAccess } from './sshd.js';

/** Where the other servers listen. */
export const OTHER_ADDRESS = '127.0.0.1';

/** An SSH server other than OpenSSH's, for interoperability. */
export interface OtherServer extends SshAccess, EndpointPlace, AsyncDisposable {
  readonly log: readonly string[];
  close(): Promise<void>;
}

/** Puts together what a test needs of such a server. */
export function describeServer(server: {
  port: number;
  userKey: KeyPair;
  hostKeys: readonly string[];
  log: LogLines;
  close: () => Promise<void>;
}): OtherServer {
  const { port, hostKeys, close } = server;
  return {
    ...LOOPBACK,
    address: OTHER_ADDRESS,
    port,
    username: NAMESPACE_USER,
    privateKey: server.userKey.privateKey,
    hostKeys,
    knownHosts: knownHostsText(OTHER_ADDRESS, port, hostKeys),
    log: server.log.lines,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Kills a child with all its descendants. */
export function killTree(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  for (const { pid } of descendantsOf(processTable(), child.pid)) signal(pid, 'SIGKILL');
  signal(child.pid, 'SIGKILL');
}
