import { existsSync, readFileSync } from 'node:fs';
import type { Feature } from './applicability.js';

/** The kernel's table of TCP connections over IPv4 (Linux, Documentation/networking/proc_net_tcp.rst). */
const TABLE = '/proc/self/net/tcp';
/** What its column `tr` has of a connection that is asked for a sign of life when it has been silent. */
const KEEPALIVE = '02';
const ESTABLISHED = '01';

/** The kernel tells which timers its connections have. */
export const tcpTimers: Feature = { name: 'a table of TCP timers', present: existsSync(TABLE) };

/** Of the connections that are open at a local port, or lead to a port, whether each is kept watch over by the kernel. */
export function keptWatchOver(side: 'local' | 'remote', port: number): boolean[] {
  const rows = readFileSync(TABLE, 'utf8').trim().split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local = '', remote = '', state, , timer = ''] = row.trim().split(/\s+/);
    const [, own = ''] = (side === 'local' ? local : remote).split(':');
    if (Number.parseInt(own, 16) !== port || state !== ESTABLISHED) return [];
    return [timer.startsWith(`${KEEPALIVE}:`)];
  });
}
