import { fileURLToPath } from 'node:url';
import type { Entrant } from '../contender.js';
import { devTunnels } from './dev-tunnels.js';
import { goSsh } from './go-ssh.js';
import { opensshForward } from './openssh-forward.js';
import { opensshSocks } from './openssh-socks.js';
import { ours, oursWithoutAddon } from './ours.js';
import { plainTcp } from './plain-tcp.js';
import { rawSsh2, rawSsh2NoDelay } from './raw-ssh2.js';
import { tunnelSsh } from './tunnel-ssh.js';

/** The contender that goals are set for, and that the others are compared with. */
export const OURS = 'ours';

/** This tree. */
export const HERE = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * All contenders, in the order in which they take turns.
 *
 * @param rivalTree - another tree of this library to be measured beside this one
 */
export function entrants(rivalTree: string | undefined): Entrant[] {
  const rival = rivalTree === undefined ? [] : [ours(rivalTree, 'ours, other tree')];
  return [
    plainTcp,
    rawSsh2,
    rawSsh2NoDelay,
    tunnelSsh,
    devTunnels,
    opensshForward,
    opensshSocks,
    goSsh,
    ours(HERE, OURS),
    oursWithoutAddon(HERE),
    ...rival,
  ];
}
