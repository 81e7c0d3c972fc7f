import { once } from 'node:events';
import type { EndpointAddress } from './contender.js';
import { forkModule } from './fork-module.js';

/** The endpoint servers, in a process of their own. */
export interface Endpoints extends EndpointAddress {
  close(): Promise<void>;
}

/** Starts the endpoint servers. They end with this process, if not before. */
export async function startEndpoints(): Promise<Endpoints> {
  const child = forkModule(new URL('endpoint-servers.ts', import.meta.url));
  const exited = once(child, 'exit');
  const [{ ports, certificateAuthority }] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error('the endpoint servers did not start'))),
  ])) as [Pick<EndpointAddress, 'ports' | 'certificateAuthority'>];
  return {
    host: '127.0.0.1',
    ports,
    certificateAuthority,
    close: async () => {
      child.disconnect();
      await exited;
    },
  };
}
