import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import type { Outcome, Trial } from './trials.js';

/** Tries something. @throws the signal's reason */
export type Attempt = (trial: Trial, signal: AbortSignal) => Promise<Outcome>;

/** Whether there is one on the PATH. */
export function hasKubectl(): Promise<boolean> {
  return new Promise((resolve) => {
    spawn('kubectl', ['version', '--client'], { stdio: 'ignore' })
      .once('error', () => resolve(false))
      .once('close', (code) => resolve(code === 0));
  });
}

/** Tries with kubectl. */
export function kubectlWith(kubeconfig: string): Attempt {
  return async ({ line, args = line.split(' '), typed = '', until, meanwhile }, signal) => {
    // Its cache is at home.
    const environment = { ...process.env, HOME: dirname(kubeconfig), KUBECONFIG: kubeconfig };
    const child = spawn('kubectl', args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
    const stop = (): void => void child.kill('SIGINT');
    signal.addEventListener('abort', stop);
    child.stdin.on('error', () => undefined).end(typed);
    let shown = '';
    let isSeen = false;
    const look = (): void => {
      const match = isSeen ? null : until?.exec(shown);
      if (!match) return;
      isSeen = true;
      const done = meanwhile?.(match) ?? Promise.resolve('');
      void done
        .then(
          (more) => (shown += more),
          (error: unknown) => (shown += String(error)),
        )
        .then(stop);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
        look();
      });
    }
    try {
      const [code] = (await once(child, 'close')) as [number | null];
      signal.throwIfAborted();
      return { code, shown };
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };
}
