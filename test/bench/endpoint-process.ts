import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { EndpointName } from './contender.js';

/** The endpoint servers, in a process of their own. */
export interface Endpoints extends AsyncDisposable {
  readonly host: string;
  readonly ports: Readonly<Record<EndpointName, number>>;
}

/** Starts the endpoint servers. They end with this process, if not before. */
export async function startEndpoints(): Promise<Endpoints> {
  const child = fork(fileURLToPath(new URL('endpoint-servers.ts', import.meta.url)), {
    // Not the flags of this process: a profiler or debugger of ours is not one of the endpoints'.
    execArgv: ['--import', import.meta.resolve('tsx')],
  });
  const exited = once(child, 'exit');
  const [ports] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error('the endpoint servers did not start'))),
  ])) as [Endpoints['ports']];
  return {
    host: '127.0.0.1',
    ports,
    [Symbol.asyncDispose]: async () => {
      child.disconnect();
      await exited;
    },
  };
}
