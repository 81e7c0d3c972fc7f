import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Feature } from './applicability.js';
import { findProgram } from './find-program.js';

/** How a kubectl has ended. */
export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A kubectl on the PATH. */
export const kubectlHere: Feature = { name: 'kubectl', present: findProgram('kubectl') !== undefined };

/** A kubectl on the PATH that is this version, 1.`minor`, or a later one. */
export function kubectlSince(minor: number): Feature {
  return { name: `kubectl 1.${minor}`, present: kubectlHere.present && minorVersion() >= minor };
}

let known: number | undefined;

/** 0 if it does not say; it is run once. */
function minorVersion(): number {
  known ??= askForMinorVersion();
  return known;
}

function askForMinorVersion(): number {
  const { status, stdout } = spawnSync(Kubectl.path ?? '', ['version', '--client', '--output=json'], {
    encoding: 'utf8',
  });
  return status === 0 ? Number(/"gitVersion": *"v1\.(\d+)/.exec(stdout)?.[1] ?? 0) : 0;
}

/** How kubectl speaks to what stands in front of a node. */
export interface Transport {
  readonly transport: 'WebSocket' | 'SPDY';
  /** Of its upgrades. */
  readonly method: 'GET' | 'POST';
  readonly needs: Feature;
  /** What makes kubectl choose it. */
  readonly environment: NodeJS.ProcessEnv;
}

/** @param since - the kubectl that knows WebSocket for it, 1.`since` */
const transports = (variable: string, since: number): readonly Transport[] => [
  {
    transport: 'WebSocket',
    method: 'GET',
    needs: kubectlSince(since),
    environment: { [variable]: 'true' },
  },
  { transport: 'SPDY', method: 'POST', needs: kubectlHere, environment: { [variable]: 'false' } },
];

/** Those of exec, attach and cp. */
export const execTransports = (): readonly Transport[] => transports('KUBECTL_REMOTE_COMMAND_WEBSOCKETS', 29);

/** Those of port-forward. */
export const forwardTransports = (): readonly Transport[] =>
  transports('KUBECTL_PORT_FORWARD_WEBSOCKETS', 30);

/** The real kubectl, with a kubeconfig and a home of its own. */
export class Kubectl implements AsyncDisposable {
  /** Where it is on this machine, if anywhere. */
  static readonly path = findProgram('kubectl');
  readonly folder: string;
  readonly #path: string;

  private constructor(path: string, folder: string) {
    this.#path = path;
    this.folder = folder;
  }

  static async create(kubeconfig: string): Promise<Kubectl> {
    if (Kubectl.path === undefined) throw new Error('there is no kubectl on the PATH');
    const folder = await mkdtemp(join(tmpdir(), 'kubectl-'));
    await writeFile(join(folder, 'kubeconfig'), kubeconfig);
    return new Kubectl(Kubectl.path, folder);
  }

  /** For a `spawn` of one's own. */
  get environment(): NodeJS.ProcessEnv {
    const { PATH } = process.env;
    return { PATH, HOME: this.folder, KUBECONFIG: join(this.folder, 'kubeconfig') };
  }

  /** Runs it to its end; `input` is its stdin, and `environment` what it has beside ours. */
  run(args: readonly string[], input = '', environment: NodeJS.ProcessEnv = {}): Promise<KubectlResult> {
    return new Promise((resolve, reject) => {
      const options = { env: { ...this.environment, ...environment }, maxBuffer: 2 ** 28 };
      const child = execFile(this.#path, args, options, (error, stdout, stderr) => {
        if (error === null || typeof error.code === 'number')
          resolve({ code: Number(error?.code ?? 0), stdout, stderr });
        else reject(new Error('kubectl could not be run', { cause: error }));
      });
      child.stdin?.on('error', () => undefined).end(input);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}
