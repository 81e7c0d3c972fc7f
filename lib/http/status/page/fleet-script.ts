/** What is known: the nodes as the server tells them, and what they were. */
export const fleetScript = String.raw`
// Problems first.
const STATES = ['down', 'degraded', 'connecting', 'idle', 'ready'];
const SYMBOLS = { down: '✕', degraded: '!', connecting: '…', idle: '–', ready: '✓' };
const USABLE = ['ready', 'degraded', 'idle'];
const collator = new Intl.Collator('en', { numeric: true });

const fleet = {
  state: 'open',
  source: undefined,
  nodes: new Map(),
  histories: new Map(),
  totals: { streams: new History(), waiting: new History(), rtt: new History() },
};

const stateOf = (node) => (STATES.includes(node.state) ? node.state : 'unknown');
// The last one measured says nothing of a node that is not connected now.
const roundTripOf = (node) => (node.state === 'ready' || node.state === 'degraded' ? node.roundTripMs : undefined);
const rank = (node) => STATES.indexOf(node.state);

function historyOf(name) {
  let history = fleet.histories.get(name);
  if (!history) fleet.histories.set(name, (history = { rtt: new History(), streams: new History() }));
  return history;
}

// all: these are the nodes; else these have changed.
function learn({ at, nodes, ...rest }, all) {
  clockOffset = Date.parse(at) - Date.now();
  fleet.state = rest.state;
  fleet.source = rest.source;
  if (all) fleet.nodes.clear();
  for (const node of nodes) fleet.nodes.set(node.name, node);
  if (all) for (const name of fleet.histories.keys()) if (!fleet.nodes.has(name)) fleet.histories.delete(name);
}

function totals() {
  const nodes = [...fleet.nodes.values()];
  const sum = (pick) => nodes.reduce((total, node) => total + pick(node), 0);
  const rtts = nodes.map(roundTripOf).filter((ms) => ms !== undefined).sort((a, b) => a - b);
  const counts = {};
  for (const node of nodes) counts[stateOf(node)] = (counts[stateOf(node)] ?? 0) + 1;
  return {
    counts,
    nodes: nodes.length,
    usable: nodes.filter((node) => USABLE.includes(node.state)).length,
    streams: sum((node) => node.channels?.open ?? 0),
    waiting: sum((node) => node.channels?.waiting ?? 0),
    rtt: rtts[Math.floor((rtts.length - 1) / 2)],
  };
}

function sample() {
  for (const node of fleet.nodes.values()) {
    const { rtt, streams } = historyOf(node.name);
    rtt.add(roundTripOf(node));
    streams.add(node.channels?.open);
  }
  const { streams, waiting, rtt } = totals();
  fleet.totals.streams.add(streams);
  fleet.totals.waiting.add(waiting);
  fleet.totals.rtt.add(rtt);
}
`;
