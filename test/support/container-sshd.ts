import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { docker, runLabel, sshdImage } from './container-engine.js';
import { LogLines } from './log-lines.js';
import { ManagedSshd, type SshdMachine } from './managed-sshd.js';
import { parseStat, type ProcessInfo } from './processes.js';
import { onExit } from './reaper.js';
import type { Sshd, SshdOptions } from './sshd.js';
import { SshdFiles, temporaryDirectory } from './sshd-files.js';

/** A container of test/sshd/Dockerfile and the directory mounted in it. */
interface Container {
  readonly name: string;
  readonly directory: string;
}

/**
 * Containers that no test uses now, stopped: where images are copied, a new one costs seconds, a start a
 * tenth of one.
 */
const idle: Container[] = [];
let created = 0;

/**
 * The container shares this machine's network: a loopback address there is the loopback address here, so that
 * endpoints of tests are reached as with an sshd of our own, without published ports.
 */
async function createContainer(): Promise<Container> {
  const image = await sshdImage();
  const directory = temporaryDirectory();
  const name = `${runLabel.replace('=', '-')}-${process.pid}-${++created}`;
  onExit(() => {
    rmSync(directory, { recursive: true, force: true });
    // Detached: it goes on when this process is gone.
    spawn('docker', ['rm', '--force', name], { detached: true, stdio: 'ignore' }).unref();
  });
  const setup = [
    '--name',
    name,
    '--label',
    runLabel,
    '--network',
    'host',
    '--volume',
    `${directory}:/config:ro`,
  ];
  // Podman leaves out this capability of Docker's, without which Debian's sshd dies at a failed login.
  await docker('create', ...setup, '--cap-add', 'AUDIT_WRITE', image);
  return { name, directory };
}

/** sshd in a container. */
class ContainerMachine implements SshdMachine {
  readonly address: string;
  readonly username = 'tunnel';
  readonly files: SshdFiles;
  readonly log = new LogLines();
  readonly #container: Container;
  /** The docker command that is attached to the running container. */
  #attached: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(container: Container, options: SshdOptions) {
    const { listenAddress = '127.0.0.1', keyOptions = 'restrict,port-forwarding', maxOpenFiles } = options;
    this.#container = container;
    this.address = listenAddress;
    this.files = new SshdFiles(container.directory, { ...options, keyOptions });
    if (maxOpenFiles !== undefined) this.files.write('max_open_files', [`${maxOpenFiles}`]);
  }

  async run(port: number): Promise<void> {
    this.files.write('listen.conf', [`Port ${port}`, `ListenAddress ${this.address}`]);
    const attached = spawn('docker', ['start', '--attach', this.#container.name], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.log.read(attached.stdout);
    this.log.read(attached.stderr);
    await once(attached, 'spawn');
    this.#exited = once(attached, 'exit');
    this.#attached = attached;
  }

  async kill(): Promise<void> {
    if (this.#attached?.exitCode === null) {
      await docker('kill', this.#container.name).catch(() => undefined); // it may have ended by itself
    }
    await this.#exited;
    this.#attached = undefined;
  }

  masterPid(table: readonly ProcessInfo[]): number | undefined {
    return table.find(({ parent, command }) => parent === 1 && command === 'sshd')?.pid;
  }

  async processTable(): Promise<ProcessInfo[]> {
    if (this.#attached === undefined) return [];
    const lines = await this.#exec('cat /proc/[0-9]*/stat 2>/dev/null || true');
    return lines.split('\n').flatMap((line) => parseStat(line) ?? []);
  }

  async signal(pids: readonly number[], name: NodeJS.Signals): Promise<void> {
    if (pids.length === 0) return;
    const script = 'for pid; do kill -s "$0" "$pid" 2>/dev/null || true; done';
    await this.#exec(script, name.replace('SIG', ''), ...pids.map(String));
  }

  remove(): void {
    for (const file of readdirSync(this.files.directory)) rmSync(join(this.files.directory, file));
    idle.push(this.#container);
  }

  removeNow(): void {
    // The container is removed with all others.
  }

  #exec(script: string, ...args: string[]): Promise<string> {
    return docker('exec', this.#container.name, 'sh', '-c', script, ...args);
  }
}

/**
 * Starts an sshd in a container of its own, as `startSshd` does on this machine. Its user is locked down: no
 * shell, no password, and a key that may forward ports and nothing else.
 */
export async function startContainerSshd(options: SshdOptions = {}): Promise<Sshd> {
  return ManagedSshd.start(new ContainerMachine(idle.pop() ?? (await createContainer()), options));
}
