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
  totals: { streams: new History(), dials: new History(), rtt: new History() },
  // When the server looked at the nodes last, by its clock, and had when the last sample was taken; how often it looks.
  at: undefined,
  sampledAt: undefined,
  refreshMs: 2000,
};

const stateOf = (node) => (STATES.includes(node.state) ? node.state : 'unknown');
// The last one measured says nothing of a node that is not connected now.
const roundTripOf = (node) => (node.state === 'ready' || node.state === 'degraded' ? node.roundTripMs : undefined);
const dialsOf = (node) => (node.dials ? node.dials.opened + node.dials.failed : undefined);
const rank = (node) => STATES.indexOf(node.state);

function historyOf(name) {
  let history = fleet.histories.get(name);
  if (!history) fleet.histories.set(name, (history = { rtt: new History(), streams: new History(), dials: new History(), dialled: undefined }));
  return history;
}

// The server's news and its heartbeats say: all is known up to then.
function looked(at) {
  fleet.at = Date.parse(at);
  clockOffset = fleet.at - Date.now();
}

// all: these are the nodes; else these have changed.
function learn({ at, nodes, ...rest }, all) {
  looked(at);
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

// Dials per second since the last sample: by the server's clock, because its looks and our samples are not in step.
function rateOf(history, dialled) {
  const last = history.dialled;
  const seconds = (fleet.at - fleet.sampledAt) / 1000;
  history.dialled = dialled;
  if (last === undefined || dialled === undefined) return undefined;
  // No look since: the next is due, or it had nothing to tell.
  if (!(seconds > 0)) return now() - fleet.at < 1.5 * fleet.refreshMs ? history.dials.values.at(-1) : 0;
  // A node that was changed counts from 0.
  return (dialled < last ? dialled : dialled - last) / seconds;
}

function sample() {
  let rate;
  for (const node of fleet.nodes.values()) {
    const history = historyOf(node.name);
    history.rtt.add(roundTripOf(node));
    history.streams.add(node.channels?.open);
    const dials = rateOf(history, dialsOf(node));
    history.dials.add(dials);
    if (dials !== undefined) rate = (rate ?? 0) + dials;
  }
  const { streams, rtt } = totals();
  fleet.totals.streams.add(streams);
  fleet.totals.dials.add(rate);
  fleet.totals.rtt.add(rtt);
  fleet.sampledAt = fleet.at;
}
`;
