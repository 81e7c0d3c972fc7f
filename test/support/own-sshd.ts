import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { findProgram } from './find-program.js';
import { LogLines } from './log-lines.js';
import { ManagedSshd, type SshdMachine } from './managed-sshd.js';
import { descendantsOf, isAlive, processTable, signal, waitUntil, type ProcessInfo } from './processes.js';
import type { EndpointPlace, Sshd, SshdOptions } from './sshd.js';
import { SshdFiles, temporaryDirectory } from './sshd-files.js';

/** In a namespace of its own nobody else has it. */
const SSH_PORT = 22;

/** `-V` prints the version; an sshd too old to know it prints the version above its usage. */
function openSshVersion(program: string): number {
  const { stderr } = spawnSync(program, ['-V'], { encoding: 'utf8' });
  return Number(/OpenSSH_(\d+\.\d+)/.exec(stderr)?.[1] ?? 0);
}

/** Without PAM sshd refuses an account whose password is locked (`!`), such as root's on Ubuntu. */
function needsPam(username: string): boolean {
  try {
    return new RegExp(`^${username}:!`, 'm').test(readFileSync('/etc/shadow', 'utf8'));
  } catch {
    return false; // we may not read it, and so sshd may not
  }
}

/** A network namespace of this machine that an sshd is to run in, with nothing else in it. */
export interface SshdNamespace {
  readonly name: string;
  /** Address in it that sshd listens on. */
  readonly address: string;
  /** Where endpoints are that the sshd can reach. */
  readonly place: EndpointPlace;
}

/** sshd as a child process of ours, run by the current user. */
class ThisMachine implements SshdMachine {
  readonly address: string;
  readonly port: number | undefined;
  readonly place: EndpointPlace | undefined;
  readonly username = userInfo().username;
  readonly files: SshdFiles;
  readonly log = new LogLines();
  readonly #program: string;
  readonly #maxOpenFiles: number | undefined;
  readonly #namespace: SshdNamespace | undefined;
  #master: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(program: string, options: SshdOptions, namespace?: SshdNamespace) {
    this.address = namespace?.address ?? options.listenAddress ?? '127.0.0.1';
    this.port = namespace && SSH_PORT;
    this.place = namespace?.place;
    this.#namespace = namespace;
    this.files = new SshdFiles(temporaryDirectory(), options);
    this.#program = program;
    this.#maxOpenFiles = options.maxOpenFiles;
    this.files.write('sshd_config', this.#config());
  }

  async run(port: number): Promise<void> {
    const command = [this.#program, '-D', '-e', '-f', this.files.path('sshd_config'), '-p', `${port}`];
    const limited = ['/bin/sh', '-c', `ulimit -n ${this.#maxOpenFiles ?? 0} && exec "$0" "$@"`, ...command];
    const there = this.#namespace === undefined ? [] : ['ip', 'netns', 'exec', this.#namespace.name];
    const [program = '', ...args] = [...there, ...(this.#maxOpenFiles === undefined ? command : limited)];
    const master = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.log.read(master.stderr);
    await once(master, 'spawn');
    this.#exited = once(master, 'exit');
    this.#master = master;
  }

  async kill(): Promise<void> {
    const connections = this.#killNow();
    await this.#exited;
    this.#master = undefined;
    await waitUntil('the end of sshd', () => {
      const table = processTable();
      return !connections.some((process) => isAlive(table, process));
    });
  }

  masterPid(): number | undefined {
    return this.#isRunning() ? this.#master?.pid : undefined;
  }

  processTable(): Promise<ProcessInfo[]> {
    return Promise.resolve(processTable());
  }

  signal(pids: readonly number[], name: NodeJS.Signals): Promise<void> {
    for (const pid of pids) signal(pid, name);
    return Promise.resolve();
  }

  remove(): void {
    rmSync(this.files.directory, { recursive: true, force: true });
  }

  removeNow(): void {
    this.#killNow();
    this.remove();
  }

  #isRunning(): boolean {
    return this.#master?.exitCode === null && this.#master.signalCode === null;
  }

  #killNow(): ProcessInfo[] {
    const pid = this.masterPid();
    if (pid === undefined) return [];
    signal(pid, 'SIGSTOP'); // so that no connection slips in between the look and the kill
    const connections = descendantsOf(processTable(), pid);
    for (const victim of [...connections.map((process) => process.pid), pid]) signal(victim, 'SIGKILL');
    return connections;
  }

  #config(): string[] {
    const penalties = openSshVersion(this.#program) >= 9.8;
    return [
      // Included, so that a Match block among the test's lines ends with them.
      `Include ${this.files.path('extra.conf')}`,
      ...this.files.hostKeyPaths.map((path) => `HostKey ${path}`),
      `ListenAddress ${this.address}`,
      `AuthorizedKeysFile ${this.files.path('authorized_keys')}`,
      'AuthenticationMethods publickey',
      'PermitRootLogin prohibit-password',
      'StrictModes no',
      `UsePAM ${needsPam(this.username) ? 'yes' : 'no'}`,
      'UseDNS no',
      'PidFile none',
      'LogLevel VERBOSE',
      // Tests of rejected keys must not shut out the tests after them.
      ...(penalties ? ['PerSourcePenalties no'] : []),
    ];
  }
}

/**
 * Starts OpenSSH's sshd as this user, on a loopback address or in a network namespace, with keys and configuration of its own.
 *
 * @throws Error that says what to install if there is none, or with sshd's log if it does not start
 */
export async function startSshd(options: SshdOptions = {}, namespace?: SshdNamespace): Promise<Sshd> {
  const program = findProgram('sshd');
  if (program === undefined) {
    throw new Error(
      'no sshd found: install OpenSSH\'s server ("apt-get install openssh-server") or run "npm test"',
    );
  }
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  return ManagedSshd.start(new ThisMachine(program, options, namespace));
}
