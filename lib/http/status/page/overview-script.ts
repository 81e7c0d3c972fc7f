/** Everything above the table: figures, the map of the fleet, the choice of states. */
export const overviewScript = String.raw`
const view = { states: new Set(), text: '', sort: 'state', descending: false, limit: 100 };

const charts = {
  streams: new Sparkline({ width: 240, height: 40, least: 4 }),
  dials: new Sparkline({ width: 240, height: 40, least: 4 }),
  rtt: new Sparkline({ width: 240, height: 40 }),
};
for (const [name, chart] of Object.entries(charts)) byId(name + '-chart').append(chart.element);

function drawTotals() {
  for (const [name, chart] of Object.entries(charts)) chart.draw(fleet.totals[name]);
  setText(byId('dials'), perSecond(fleet.totals.dials.values.at(-1)));
}

// Each state's share; the good end comes first.
const bar = new Map();
for (const state of ['ready', 'idle', 'connecting', 'degraded', 'down', 'unknown']) {
  bar.set(state, make('i', { className: state }));
  byId('usable-bar').append(bar.get(state));
}

function drawOverview() {
  const { counts, nodes, usable, streams, waiting, rtt } = totals();
  const said = [...STATES, 'unknown'].filter((state) => counts[state]).map((state) => whole(counts[state]) + ' ' + state);
  setText(byId('usable'), whole(usable));
  setText(byId('usable-of'), 'of ' + whole(nodes));
  for (const [state, part] of bar) {
    part.style.flexGrow = counts[state] ?? 0;
    part.hidden = !counts[state];
  }
  setText(byId('streams'), whole(streams));
  setText(byId('waiting'), whole(waiting));
  setText(byId('rtt'), milliseconds(rtt));
  setText(byId('spoken'), plural(nodes, 'node') + ': ' + said.join(', '));
  document.title = (counts.down ? '(' + counts.down + ' down) ' : '') + 'tunnel-dialer';
  drawSource();
  drawChips(counts, nodes);
  drawMap();
}

function drawSource() {
  const { source } = fleet;
  const tile = byId('source').closest('.tile');
  tile.dataset.state = source?.state ?? 'list';
  setText(byId('source'), source ? printable(source.state) : 'fixed list');
  setText(byId('source-name'), source ? printable(source.name) : 'the program itself tells the nodes');
  const told = source?.updatedAt ? 'told ' + duration(now() - Date.parse(source.updatedAt)) + ' ago' : '';
  const failing = source?.failure
    ? 'failing for ' + duration(now() - Date.parse(source.failure.since)) + ': ' + printable(source.failure.message) : '';
  setText(byId('source-note'), [told, failing].filter(Boolean).join('; '));
  setText(byId('source-left-out'), leftOutOf(source));
}

const SHOWN_LEFT_OUT = 3;

function leftOutOf(source) {
  if (!source?.leftOut) return '';
  const { count, first } = source.leftOut;
  const shown = first.slice(0, SHOWN_LEFT_OUT).map(({ name, reason, isKept }) =>
    printable(name) + (isKept ? ' (kept as it was): ' : ' (left out): ') + printable(reason));
  const more = count > shown.length ? '; and ' + plural(count - shown.length, 'other') : '';
  return plural(count, 'node') + ' cannot be used as told: ' + shown.join('; ') + more;
}

const chips = new Map();

function chip(state) {
  const count = make('b');
  const button = make('button', { type: 'button', className: 'chip ' + state });
  button.append(make('i', { textContent: SYMBOLS[state] ?? (state === 'all' ? '' : '?'), ariaHidden: 'true' }), state, ' ', count);
  button.addEventListener('click', () => {
    if (state === 'all') view.states.clear();
    else if (!view.states.delete(state)) view.states.add(state);
    draw();
  });
  byId('chips').append(button);
  chips.set(state, { button, count });
}
['all', ...STATES, 'unknown'].forEach(chip);

function drawChips(counts, nodes) {
  for (const [state, { button, count }] of chips) {
    const pressed = state === 'all' ? view.states.size === 0 : view.states.has(state);
    setText(count, whole(state === 'all' ? nodes : counts[state] ?? 0));
    button.setAttribute('aria-pressed', String(pressed));
    button.hidden = state === 'unknown' && !counts.unknown && !pressed;
    button.classList.toggle('none', state !== 'all' && !counts[state]);
  }
}

// One square per node, by name, so that a node keeps its place whatever becomes of it.
const squares = new Map();

function drawMap() {
  const names = [...fleet.nodes.keys()];
  const known = names.length === squares.size && names.every((name) => squares.has(name));
  if (!known) {
    squares.clear();
    for (const name of names.sort(collator.compare)) squares.set(name, make('i'));
    byId('map').replaceChildren(...squares.values());
    byId('map').dataset.size = names.length > 400 ? 'many' : names.length > 60 ? 'some' : 'few';
  }
  for (const [name, square] of squares) {
    const state = stateOf(fleet.nodes.get(name));
    if (square.className === state) continue;
    square.className = state;
    square.title = printable(name) + ': ' + state;
    square.dataset.node = name;
  }
}

byId('map').addEventListener('click', ({ target }) => {
  if (target.dataset.node === undefined) return;
  view.states.clear();
  byId('filter').value = view.text = target.dataset.node;
  draw();
});
`;
