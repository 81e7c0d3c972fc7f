import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A running ssh-agent(1). */
export interface RunningAgent extends AsyncDisposable {
  readonly socketPath: string;
}

/**
 * Starts an ssh-agent at a path and gives it keys.
 *
 * @param keys - paths of private keys, and options of ssh-add(1) for those that follow, up to `--`
 */
export async function startAgent(socketPath: string, ...keys: readonly string[]): Promise<RunningAgent> {
  const agent = spawn('ssh-agent', ['-D', '-a', socketPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Nobody is to be asked anything.
    env: { ...process.env, SSH_ASKPASS: 'false', DISPLAY: '' },
  });
  // It prints its environment when it listens.
  await once(agent.stdout, 'data');
  const env = { ...process.env, SSH_AUTH_SOCK: socketPath };
  const batches = keys.join('\0').split('\0--\0');
  for (const batch of batches.filter(Boolean)) {
    execFileSync('ssh-add', ['-q', ...batch.split('\0')], { env, stdio: ['ignore', 'inherit', 'pipe'] });
  }
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      if (agent.exitCode !== null || agent.signalCode !== null) return;
      agent.kill();
      await once(agent, 'exit');
    },
  };
}
