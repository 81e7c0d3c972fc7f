import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BUILD_CONTEXT = fileURLToPath(new URL('../sshd', import.meta.url));
const IMAGE = 'tunnel-dialer-test-sshd';
const LABEL = 'tunnel-dialer-test';

/** All containers of one run of the suite bear its name, so that the run can remove them all. */
const runName = (process.env.TUNNEL_TEST_RUN ??= `run-${process.pid}`);

/** The label that marks the containers of this run. */
export const runLabel = `${LABEL}=${runName}`;

/**
 * Runs the `docker` on the PATH and gives its output.
 *
 * @throws Error of one line
 */
export async function docker(...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('docker', args, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.trim();
  } catch (error) {
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw new Error('there is no docker command on the PATH', { cause: error });
    const reason = stderr.trim().split('\n').at(-1) ?? '';
    throw new Error(`docker ${args[0] ?? ''} failed: ${reason === '' ? String(code) : reason}`, {
      cause: error,
    });
  }
}

/** Why containers cannot be run here; `undefined` if they can. */
export async function engineProblem(): Promise<string | undefined> {
  try {
    await docker('ps', '--quiet');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

let building: Promise<string> | undefined;

/**
 * The image of test/sshd/Dockerfile, built on first use; unless `TUNNEL_TEST_IMAGE` names one built before.
 */
export function sshdImage(): Promise<string> {
  const built = process.env.TUNNEL_TEST_IMAGE;
  if (built !== undefined && built !== '') return Promise.resolve(built);
  return (building ??= docker('build', '--quiet', '--tag', IMAGE, BUILD_CONTEXT).then(() => IMAGE));
}

/** Removes every container of this run, running or not. */
export async function removeContainers(): Promise<void> {
  const names = await docker('ps', '--all', '--quiet', '--filter', `label=${runLabel}`);
  if (names !== '') await docker('rm', '--force', ...names.split('\n'));
}
