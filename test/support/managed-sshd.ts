import type { LogLines } from './log-lines.js';
import { freePort } from './loopback-port.js';
import { childrenOf, descendantsOf, isAlive, waitUntil, type ProcessInfo } from './processes.js';
import { onExit } from './reaper.js';
import { knownHostsText } from './ssh-keys.js';
import { LOOPBACK, type EndpointPlace, type RestartOptions, type Sshd } from './sshd.js';
import type { SshdFiles } from './sshd-files.js';

const MAX_PORT_TRIES = 5;
const PORT_TAKEN = /Address already in use|Cannot bind any address/;

/** Where an sshd of ours runs, and how its processes are reached there. */
export interface SshdMachine {
  readonly address: string;
  /** Port to listen on, known to be free. Default: one that is free at this machine's address. */
  readonly port?: number | undefined;
  /** Where its endpoints are. Default: loopback. */
  readonly place?: EndpointPlace | undefined;
  readonly username: string;
  readonly files: SshdFiles;
  readonly log: LogLines;
  /** Starts sshd on a port, its log going to `log`. */
  run(port: number): Promise<void>;
  /** Kills sshd and all processes it started, if it runs. */
  kill(): Promise<void>;
  /** Pid of the server that listens, as the table numbers it; `undefined` if it does not run. */
  masterPid(table: readonly ProcessInfo[]): number | undefined;
  processTable(): Promise<ProcessInfo[]>;
  signal(pids: readonly number[], name: NodeJS.Signals): Promise<void>;
  /** Removes what is left when it was killed. */
  remove(): void;
  /** Kills and removes everything in a hurry, for a process that is about to exit. */
  removeNow(): void;
}

/** An sshd that the test suite starts, watches and ends. */
export class ManagedSshd implements Sshd {
  readonly listenHost: string;
  readonly endpointHost: string;
  readonly #machine: SshdMachine;
  readonly #forget: () => void;
  #port = 0;

  private constructor(machine: SshdMachine) {
    this.#machine = machine;
    ({ listenHost: this.listenHost, endpointHost: this.endpointHost } = machine.place ?? LOOPBACK);
    this.#forget = onExit(() => machine.removeNow());
  }

  /**
   * Starts an sshd on a free port. A port that another process took in the meantime is given up for the next.
   */
  static async start(machine: SshdMachine): Promise<ManagedSshd> {
    const sshd = new ManagedSshd(machine);
    for (let tries = 1; ; tries++) {
      try {
        sshd.#port = machine.port ?? (await freePort(machine.address));
        await sshd.#run();
        return sshd;
      } catch (error) {
        if (tries < MAX_PORT_TRIES && PORT_TAKEN.test(String(error))) continue;
        await sshd.close();
        throw error;
      }
    }
  }

  get address(): string {
    return this.#machine.address;
  }

  get port(): number {
    return this.#port;
  }

  get username(): string {
    return this.#machine.username;
  }

  get privateKey(): string {
    return this.#machine.files.userKey.privateKey;
  }

  get hostKeys(): readonly string[] {
    return this.#machine.files.hostKeys;
  }

  get knownHosts(): string {
    return knownHostsText(this.address, this.port, this.hostKeys);
  }

  get log(): readonly string[] {
    return this.#machine.log.lines;
  }

  waitForLog(pattern: RegExp, options?: { since?: number; timeoutMs?: number }): Promise<RegExpExecArray> {
    return this.#machine.log.waitFor(pattern, options);
  }

  async connectionCount(): Promise<number> {
    const table = await this.#machine.processTable();
    const master = this.#machine.masterPid(table);
    return master === undefined ? 0 : childrenOf(table, master).length;
  }

  async connectionPids(): Promise<number[]> {
    return (await this.#connections()).map(({ pid }) => pid);
  }

  async killConnections(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const connections = await this.#connections();
    await this.#machine.signal(
      connections.map(({ pid }) => pid),
      name,
    );
    await waitUntil("the end of sshd's connections", async () => {
      const table = await this.#machine.processTable();
      return !connections.some((process) => isAlive(table, process));
    });
  }

  stopAll(): Promise<void> {
    return this.#signalAll('SIGSTOP');
  }

  contAll(): Promise<void> {
    return this.#signalAll('SIGCONT');
  }

  stop(): Promise<void> {
    return this.#machine.kill();
  }

  async restart({ config, newHostKeys = false }: RestartOptions = {}): Promise<void> {
    await this.stop();
    if (config !== undefined) this.#machine.files.writeExtraConfig(config);
    if (newHostKeys) this.#machine.files.makeHostKeys();
    await this.#run();
  }

  async close(): Promise<void> {
    await this.#machine.kill();
    this.#machine.remove();
    this.#forget();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const { log } = this.#machine;
    const since = log.lines.length;
    try {
      await this.#machine.run(this.#port);
      await log.waitFor(new RegExp(`Server listening on .* port ${this.#port}\\.`), {
        since,
        timeoutMs: 30_000,
      });
    } catch (error) {
      await this.#machine.kill();
      throw new Error(`sshd did not start:\n${log.lines.slice(since).join('\n')}`, { cause: error });
    }
  }

  async #connections(): Promise<ProcessInfo[]> {
    const table = await this.#machine.processTable();
    const master = this.#machine.masterPid(table);
    return master === undefined ? [] : descendantsOf(table, master);
  }

  async #signalAll(name: NodeJS.Signals): Promise<void> {
    const master = this.#machine.masterPid(await this.#machine.processTable());
    if (master === undefined) throw new Error('sshd is not running');
    await this.#machine.signal([master], name); // the server first: stopped, it starts no process
    await this.#machine.signal(await this.connectionPids(), name);
  }
}
