import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildLibrary } from '../build-library.js';
import type { EndpointAddress } from '../contender.js';
import { compileHost } from './compile-host.js';
import { FleetProcess } from './fleet-process.js';
import { startMachines } from './nodes.js';
import { measureRestart } from './restart.js';
import type { Section } from './section.js';
import { measureStart } from './start.js';
import { measureTrouble } from './trouble.js';

/** For the command line. */
export const FLEET = 'fleet';

export interface FleetSurroundings {
  /** The tree whose lib/ is measured. */
  readonly root: string;
  /** A directory for files. */
  readonly directory: string;
  readonly endpoints: EndpointAddress;
  readonly rounds: number;
  readonly progress: (line: string) => void;
}

/** Measures this library with a thousand nodes, with its defaults, in a process of its own. */
export async function measureFleet(surroundings: FleetSurroundings): Promise<Section[]> {
  const { root, directory, endpoints, rounds, progress } = surroundings;
  progress('fleet: starting');
  const library = pathToFileURL(join(await buildLibrary(root, directory), 'index.js')).href;
  const host = await compileHost(directory);
  const machines = await startMachines();
  const fleet = new FleetProcess(host);
  const { nodes, username, privateKey } = machines;
  const underTest = { fleet, machines, course: { library, nodes, username, privateKey, endpoints } };
  try {
    const start = await measureStart(underTest);
    progress('fleet: restart of every sshd');
    const restart = await measureRestart(underTest);
    const trouble = await measureTrouble(underTest, rounds, progress);
    return [start, restart, trouble];
  } finally {
    await fleet.close();
    await machines.close();
  }
}
