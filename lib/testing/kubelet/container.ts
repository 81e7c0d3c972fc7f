import { Refusal } from './answers.js';
import { Broadcast } from './broadcast.js';
import { Child } from './child.js';
import { ContainerLog, LineClock } from './container-log.js';
import { LineSplitter } from './line-splitter.js';
import type { ContainerSettings } from './options.js';
import type { Nanoseconds } from './timestamp.js';

type OutputName = 'stdout' | 'stderr';

/** By SIGKILL: 128 and its number. */
const KILLED = 137;
/** What a kubelet says of a container whose command could not be started (containerd, internal/cri/server, `errorStartExitCode`). */
const NOT_STARTED = 128;

/** One run of a container, from its start to its end. */
interface Run {
  readonly log: ContainerLog;
  readonly outputs: Readonly<Record<OutputName, Broadcast>>;
  /** Where nothing runs, the run lasts until it is said to have ended. */
  readonly child: Child | undefined;
  /** With its exit code. */
  readonly ended: Promise<number>;
  readonly end: (exitCode: number) => void;
}

/** A container: what it prints, and the process in it, if there is one. */
export class Container {
  readonly name: string;
  readonly stdinOnce: boolean;
  readonly #settings: ContainerSettings;
  readonly #hostName: string;
  readonly #clock = new LineClock();
  #current: Run;
  #previous: Run | undefined;
  #restarts = 0;

  constructor(settings: ContainerSettings, hostName: string) {
    this.name = settings.name;
    this.stdinOnce = settings.stdinOnce;
    this.#settings = settings;
    this.#hostName = hostName;
    this.#current = this.#start();
    for (const line of settings.log) this.print(line, 'stdout');
  }

  get current(): Run {
    return this.#current;
  }

  get isRunning(): boolean {
    return !this.#current.log.isEnded;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** @throws {@link Refusal} when there was no run before */
  log(previous: boolean, pod: string): ContainerLog {
    if (!previous) return this.#current.log;
    if (this.#previous !== undefined) return this.#previous.log;
    throw new Refusal(400, `previous terminated container "${this.name}" in pod "${pod}" not found`);
  }

  print(line: string, stream: OutputName, time?: Nanoseconds): void {
    const { log, outputs } = this.#current;
    if (log.isEnded) return;
    log.append({ time: time ?? this.#clock.now(), stream, text: Buffer.from(line) });
    outputs[stream].say(Buffer.from(`${line}\n`));
  }

  /** Ends this run; its process is killed. */
  end(): void {
    const { child, end } = this.#current;
    end(child === undefined ? 0 : KILLED);
  }

  /** Resolves when its process is gone. */
  async close(): Promise<void> {
    this.end();
    await this.#current.child?.ended.catch(() => undefined);
  }

  /** Ends this run, whose log is the previous one then, and begins another. */
  restart(): void {
    this.end();
    this.#previous = this.#current;
    this.#current = this.#start();
    this.#restarts += 1;
  }

  #start(): Run {
    const { command, tty, stdin } = this.#settings;
    const all = { stdin, stdout: true, stderr: true, tty };
    const child = command && new Child(command, all, { HOSTNAME: this.#hostName });
    // Everybody attached writes to it.
    child?.stdin?.setMaxListeners(0);
    const log = new ContainerLog();
    const outputs = { stdout: new Broadcast(), stderr: new Broadcast() };
    let settle: (exitCode: number) => void = () => undefined;
    const ended = new Promise<number>((resolve) => (settle = resolve));
    const end = (exitCode: number): void => {
      child?.kill();
      log.finish();
      outputs.stdout.end();
      outputs.stderr.end();
      settle(exitCode);
    };
    if (child !== undefined) {
      for (const name of ['stdout', 'stderr'] as const) this.#record(child, name, log, outputs[name]);
      void child.ended.then(end, () => end(NOT_STARTED));
    }
    return { log, outputs, child, ended, end };
  }

  #record(child: Child, name: OutputName, log: ContainerLog, output: Broadcast): void {
    const source = child[name];
    if (source === null) return;
    const lines = new LineSplitter((text) => {
      if (!log.isEnded) log.append({ time: this.#clock.now(), stream: name, text });
    });
    source.on('data', (bytes: Buffer) => lines.write(bytes));
    source.once('end', () => lines.end());
    output.sayFrom(source);
  }
}
