import { curvesOf, handshakesIn } from './curves.js';
import type { FleetUnderTest } from './fleet-under-test.js';
import { dropsOf } from './nodes.js';
import { reading, type Section } from './section.js';

/** Every sshd ends at once, with all of its connections, and comes back. */
export async function measureRestart({ fleet, machines }: FleetUnderTest): Promise<Section> {
  const { nodes, sshds } = machines;
  const drops = dropsOf(sshds);
  await fleet.watch();
  const stoppedAt = performance.now();
  await Promise.all(sshds.map((sshd) => sshd.stop()));
  await Promise.all(sshds.map((sshd) => sshd.restart()));
  const awayMs = performance.now() - stoppedAt;
  const watched = await fleet.reach(nodes.length);
  return {
    title: 'restart of every sshd at once',
    readings: [
      reading('away for', awayMs / 1000, 's'),
      reading('all ready again after', watched.ms / 1000, 's'),
      handshakesIn(watched),
      // No goal: those that come back first get all the handshakes, and each stands for many nodes.
      reading('dropped by MaxStartups', dropsOf(sshds) - drops, ''),
    ],
    curves: curvesOf(watched, nodes.length),
  };
}
