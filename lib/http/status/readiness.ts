import type { ObservedSource, ObservedStatus } from './observed.js';

/** A node in one of these carries a dial; an idle one connects when it is asked to. */
const USABLE: readonly string[] = ['ready', 'degraded', 'idle'];

/** A source in one of these that has a failure is behind. */
const FAILING: readonly string[] = ['stale', 'ended'];

/**
 * Why a dialer should be given no work now, each reason a sentence; none if it should.
 *
 * @param staleAfterMs - how long the source of the nodes may have failed; the nodes of its last good list serve meanwhile
 */
export function reasonsAgainst(status: ObservedStatus, staleAfterMs: number, now = Date.now()): string[] {
  const { state, source } = status;
  const nodes = status.nodes.filter(({ bastion }) => bastion !== true);
  if (state !== 'open') return [`the dialer is ${state}`];
  const reasons = source === undefined ? [] : problemsOf(source, staleAfterMs, now);
  if (nodes.length === 0) {
    // Said already, if the source has told nothing.
    if (source?.state !== 'waiting') reasons.push(`there are no nodes${exampleOf(source)}`);
  } else if (!nodes.some((node) => USABLE.includes(node.state))) {
    reasons.push(`no node is ready: ${countByState(nodes)}`);
  }
  return reasons;
}

function problemsOf({ name, state, failure }: ObservedSource, staleAfterMs: number, now: number): string[] {
  const why = failure === undefined ? '' : `: ${failure.message}`;
  if (state === 'waiting') return [`the source of the nodes (${name}) has told none yet${why}`];
  if (failure === undefined || !FAILING.includes(state)) return [];
  const staleMs = now - failure.since.getTime();
  if (staleMs <= staleAfterMs) return [];
  return [`the source of the nodes (${name}) has been failing for ${Math.floor(staleMs / 1000)} s${why}`];
}

/** A cluster may have nodes all of which are left out. */
function exampleOf(source: ObservedSource | undefined): string {
  const [example] = source?.leftOut?.first ?? [];
  if (source?.leftOut === undefined || example === undefined) return '';
  return `: ${source.leftOut.count} left out, such as ${example.name}: ${example.reason}`;
}

function countByState(nodes: ObservedStatus['nodes']): string {
  const counts = new Map<string, number>();
  for (const { state } of nodes) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}
