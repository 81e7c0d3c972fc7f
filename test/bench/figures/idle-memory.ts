import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildLibrary } from '../build-library.js';
import { HERE, OURS } from '../contenders/index.js';
import type { Figure } from '../figure.js';
import { compileHost } from '../fleet/compile-host.js';
import { FleetProcess } from '../fleet/fleet-process.js';
import { startMachines } from '../fleet/nodes.js';

const CHANNELS_PER_NODE = 4;

/** The kernel is given back what was collected some time after. */
const SETTLE_MS = 3000;

const MB = 1e6;
const KB = 1e3;

interface Memory {
  readonly rss: number;
  readonly heap: number;
}

/** What is left when the garbage is collected; `fleet` tells what it is when nobody forces that. */
async function memoryOf(fleet: FleetProcess): Promise<Memory> {
  await fleet.heap();
  await fleet.idle(SETTLE_MS);
  const heap = await fleet.heap();
  const { rss } = await fleet.idle(SETTLE_MS);
  return { rss, heap };
}

/** Connections to the nodes of the fleet, which has a process of its own with nothing else in it. */
export const idleMemory: Figure = {
  name: 'idle-memory',
  title: `1000 idle connections, and ${CHANNELS_PER_NODE} idle channels on each of them`,
  metrics: [
    { name: 'RSS of all connections, beside what was before', unit: 'MB', goals: [{ atMost: 60 }] },
    { name: 'heap of a connection', unit: 'kB', goals: [] },
    { name: 'RSS of a channel', unit: 'kB', goals: [] },
    { name: 'heap of a channel', unit: 'kB', goals: [] },
  ],
  rounds: 1,
  takes: (contender) => contender === OURS,
  warmUp: () => Promise.resolve(),
  async measure({ course: { directory, endpoints } }) {
    const library = pathToFileURL(join(await buildLibrary(HERE, directory), 'index.js')).href;
    const host = await compileHost(directory);
    const machines = await startMachines();
    const fleet = new FleetProcess(host);
    const { nodes, username, privateKey } = machines;
    try {
      const { rssBefore } = await fleet.start({ library, nodes, username, privateKey, endpoints });
      const connected = await memoryOf(fleet);
      const names = nodes.map(({ name }) => name);
      for (let channel = 0; channel < CHANNELS_PER_NODE; channel += 1) await fleet.hold(names);
      const held = await memoryOf(fleet);
      const channels = CHANNELS_PER_NODE * nodes.length;
      return [
        (connected.rss - rssBefore) / MB,
        connected.heap / nodes.length / KB,
        (held.rss - connected.rss) / channels / KB,
        (held.heap - connected.heap) / channels / KB,
      ];
    } finally {
      await fleet.close();
      await machines.close();
    }
  },
};
