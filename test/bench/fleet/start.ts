import { curvesOf, handshakesIn } from './curves.js';
import { dropsOf } from './nodes.js';
import { reading, type Section } from './section.js';
import type { FleetUnderTest } from './fleet-under-test.js';

/** V8 gives the memory of the start back with the next collections; an idle fleet makes so little garbage that it takes this long. */
const SETTLE_MS = 80_000;
const IDLE_MS = 20_000;

const MB = 1e6;
const KB = 1e3;

/** From nothing until every node is ready, and then at rest. */
export async function measureStart({ fleet, course, machines }: FleetUnderTest): Promise<Section> {
  const { nodes, sshds } = machines;
  const start = await fleet.start(course);
  const watched = await fleet.reach(nodes.length);
  await fleet.idle(SETTLE_MS);
  const idle = await fleet.idle(IDLE_MS);
  return {
    title: `${nodes.length} nodes on ${sshds.length} sshd: from the start until at rest`,
    readings: [
      reading('all ready after', start.readyMs / 1000, 's', 30),
      reading('CPU for that', start.cpuMs / 1000, 's'),
      reading('CPU per handshake', start.cpuMs / nodes.length, 'ms'),
      handshakesIn(watched),
      reading('dropped by MaxStartups', dropsOf(sshds), '', 0),
      reading('RSS before', start.rssBefore / MB, 'MB'),
      reading('RSS when ready', start.rss / MB, 'MB'),
      reading('RSS at rest', idle.rss / MB, 'MB', 100),
      reading(
        'RSS at rest per node, beside what was before',
        (idle.rss - start.rssBefore) / nodes.length / KB,
        'kB',
      ),
      reading('live heap per node', (await fleet.heap()) / nodes.length / KB, 'kB'),
      reading('CPU at rest', (idle.cpuMs / IDLE_MS) * 100, '% of a core', 3),
    ],
    curves: curvesOf(watched, nodes.length),
  };
}
