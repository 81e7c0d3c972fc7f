import type { NodeSpec } from '../../../lib/index.js';
import { startSshd } from '../../support/own-sshd.js';
import { generateKeyPair } from '../../support/ssh-keys.js';
import type { Sshd } from '../../support/sshd.js';

/** How many nodes each sshd stands for. The last two are those that will hang and refuse. */
const NODES_OF: readonly number[] = [134, 134, 133, 133, 133, 133, 100, 100];

/** Some sshd, each of which stands for many nodes. */
export interface Machines {
  readonly sshds: readonly Sshd[];
  readonly nodes: readonly NodeSpec[];
  readonly username: string;
  readonly privateKey: string;
  readonly hanging: Sshd;
  readonly refusing: Sshd;
  close(): Promise<void>;
}

/** Starts the sshd, with OpenSSH's defaults, on 127.0.0.11 and the addresses after it. */
export async function startMachines(): Promise<Machines> {
  const { privateKey, publicKey } = generateKeyPair();
  const sshds: Sshd[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(sshds.map((sshd) => sshd.close()));
  };
  try {
    for (const index of NODES_OF.keys())
      sshds.push(await startSshd({ listenAddress: `127.0.0.${11 + index}`, authorizedKeys: [publicKey] }));
  } catch (error) {
    await close();
    throw error;
  }
  const [hanging, refusing] = sshds.slice(-2) as [Sshd, Sshd];
  return {
    sshds,
    nodes: inTurn(sshds.map((sshd, index) => nodesOf(sshd, NODES_OF[index] ?? 0))),
    username: hanging.username,
    privateKey,
    hanging,
    refusing,
    close,
  };
}

/** Connections that the sshd have dropped because too many were logging in at once. */
export function dropsOf(sshds: readonly Sshd[]): number {
  return sshds.flatMap(({ log }) => log).filter((line) => line.includes('past MaxStartups')).length;
}

function nodesOf({ address, port, hostKeys }: Sshd, count: number): NodeSpec[] {
  const network = address.split('.').at(-1) ?? '';
  return Array.from({ length: count }, (_, index) => ({
    name: `node-${network}-${index}`,
    address,
    port,
    podCIDRs: [`10.${network}.${index}.0/24`],
    hostKey: hostKeys[0],
  }));
}

/** All members, those of each list spread evenly: nodes are connected in the order in which they are told. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  return lists
    .flatMap((list) => list.map((member, index) => ({ member, turn: (index + 0.5) / list.length })))
    .sort((a, b) => a.turn - b.turn)
    .map(({ member }) => member);
}
