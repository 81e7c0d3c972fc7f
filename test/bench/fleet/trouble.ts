import { quantile } from '../statistics.js';
import type { FleetUnderTest } from './fleet-under-test.js';
import { reading, type Section } from './section.js';

/** Dials through each node in a round. */
const DIALS = 2;

/**
 * Dials to nodes that are well, by turns while all are and while 100 others hang and 100 refuse. What hangs does so in one round with its
 * connections up, and in the next with them cut: then it is the handshakes that nobody answers.
 */
export async function measureTrouble(
  { fleet, machines }: FleetUnderTest,
  rounds: number,
  progress: (line: string) => void,
): Promise<Section> {
  const { nodes, hanging, refusing } = machines;
  const troubled = (address: string): boolean => address === hanging.address || address === refusing.address;
  const well = nodes.filter(({ address }) => !troubled(address)).map(({ name }) => name);
  const dial = (): Promise<readonly number[]> => fleet.dial(Array.from({ length: DIALS }, () => well).flat());
  const quiet: (readonly number[])[] = [];
  const disturbed: (readonly number[])[] = [];
  const refused = nodes.filter(({ address }) => address === refusing.address).length;
  const hung = nodes.length - well.length - refused;

  progress('fleet: warming up');
  await dial();
  for (let round = 1; round <= rounds; round += 1) {
    progress(`fleet: round ${round} of ${rounds}`);
    quiet.push(await dial());
    await refusing.stop();
    await fleet.reach(nodes.length - refused);
    await hanging.stopAll();
    if (round % 2 === 0) {
      await hanging.killConnections();
      await fleet.reach(well.length);
    }
    disturbed.push(await dial());
    await hanging.contAll();
    await refusing.restart();
    await fleet.reach(nodes.length);
  }

  const ratio = (q: number): number =>
    quantile(
      quiet.map((times, round) => quantile(disturbed[round] ?? [], q) / quantile(times, q)),
      0.5,
    );
  const readings = (name: string, times: readonly number[]) => [
    reading(`p50, ${name}`, quantile(times, 0.5), 'ms'),
    reading(`p99, ${name}`, quantile(times, 0.99), 'ms'),
  ];
  return {
    title: `dial + 1-byte echo through ${well.length} nodes while ${hung} others hang and ${refused} refuse, ${rounds} rounds`,
    readings: [
      ...readings('quiet', quiet.flat()),
      ...readings('in trouble', disturbed.flat()),
      reading('p50, compared within each round', ratio(0.5), '×'),
      reading('p99, compared within each round', ratio(0.99), '×', 1.5),
    ],
    curves: [],
  };
}
