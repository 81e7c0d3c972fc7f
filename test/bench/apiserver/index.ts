import { startSshd } from '../../support/own-sshd.js';
import { buildLibrary } from '../build-library.js';
import { outcomeOf } from '../figure.js';
import { resultsOf, type Result } from '../results.js';
import { measureRounds } from '../rounds.js';
import { CalledProcess } from './calls.js';
import { ANSWER, BARE_PROXY, FIGURES, OWN_TUNNEL, PROXY, TUNNEL } from './figures.js';
import type { ClusterCalls } from './messages.js';
import { Way } from './way.js';

/** For the command line. */
export const APISERVER = 'apiserver';

export interface ApiserverSurroundings {
  /** The tree whose lib/ is measured. */
  readonly root: string;
  /** Another one, whose proxy is measured beside it. */
  readonly rivalRoot: string | undefined;
  /** A directory for files. */
  readonly directory: string;
  readonly rounds: number;
  readonly progress: (line: string) => void;
}

/** Measures what the apiserver proxy adds to the tunnel, with its defaults: client, proxy and cluster in processes of their own, and a real sshd. */
export async function measureApiserver(surroundings: ApiserverSurroundings): Promise<Result[]> {
  const { root, rivalRoot, directory, rounds, progress } = surroundings;
  progress('apiserver: starting');
  const library = await buildLibrary(root, directory);
  const sshd = await startSshd({ config: ['LogLevel INFO'] });
  const cluster = new CalledProcess<ClusterCalls>('cluster', new URL('roles/cluster.ts', import.meta.url));
  const ways: Way[] = [];
  try {
    const { address, port, username, privateKey, hostKeys, knownHosts } = sshd;
    const course = {
      library,
      sshd: { address, port, username, privateKey, hostKeys, knownHosts },
      cluster: await cluster.call('start', library),
    };
    ways.push(await Way.tunnel(OWN_TUNNEL, course));
    ways.push(await Way.through('tunnel', TUNNEL, course));
    ways.push(await Way.through('bare proxy', BARE_PROXY, course));
    ways.push(await Way.through('answer', ANSWER, course));
    ways.push(await Way.through('proxy', PROXY, course));
    if (rivalRoot !== undefined) {
      const rival = await buildLibrary(rivalRoot, directory);
      ways.push(await Way.through('proxy', `${PROXY}, other tree`, { ...course, library: rival }));
    }
    const results: Result[] = [];
    for (const { figure, ways: others } of FIGURES) {
      const taking = ways.filter(({ name }) => name.startsWith(PROXY) || others.includes(name));
      const measured = taking.map((way) => ({
        name: way.name,
        warmUp: () => figure.warmUp(way),
        measure: async () => outcomeOf(await figure.measure(way)).values,
      }));
      results.push(...resultsOf(figure, await measureRounds(figure, measured, rounds, progress), PROXY));
    }
    return results;
  } finally {
    await Promise.all(ways.map((way) => way.close()));
    await cluster.close();
    await sshd.close();
  }
}
