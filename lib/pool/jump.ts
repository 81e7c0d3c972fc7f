import type { JumpHost } from '../ssh/jump-host.js';
import { Dial, DialAttempt } from './dial.js';
import type { NodePool } from './node-pool.js';

/** Makes a jump host of a node: the connections of others borrow its lanes, as dials do. */
export function jumpThrough(pool: NodePool, name: string, hops: number): JumpHost {
  return {
    name,
    hops,
    dial: async (host, port, timeoutMs, signal) => {
      using dial = new Dial({ host, port, allowHalfOpen: false, purpose: 'jump', timeoutMs, signal });
      using attempt = new DialAttempt(dial, name, host);
      return await pool.dial(attempt);
    },
  };
}
