/** The table of nodes: which rows, in which order, and what stands in them. */
export const tableScript = String.raw`
const streamsOf = (node) => node.channels?.open ?? 0;
const rateNow = ({ name }) => historyOf(name).dials.values.at(-1);
const COLUMNS = {
  name: { title: 'Node', compare: () => 0 },
  state: { title: 'State', compare: (a, b) => rank(a) - rank(b) },
  cause: { title: 'Cause' },
  rtt: { title: 'Round trip', compare: (a, b) => (roundTripOf(b) ?? -1) - (roundTripOf(a) ?? -1) },
  streams: { title: 'Streams', compare: (a, b) => streamsOf(b) - streamsOf(a) },
  dials: { title: 'Dials', compare: (a, b) => (rateNow(b) ?? -1) - (rateNow(a) ?? -1) },
  connections: { title: 'Connections', compare: (a, b) => (b.counts?.lost + b.counts?.failed || 0) - (a.counts?.lost + a.counts?.failed || 0) },
};

for (const [key, { title, compare }] of Object.entries(COLUMNS)) {
  const head = make('th', { scope: 'col', className: key });
  head.setAttribute('role', 'columnheader');
  head.dataset.column = key;
  byId('heads').append(head);
  if (!compare) { head.textContent = title; continue; }
  const button = make('button', { type: 'button' }, title, make('i', { ariaHidden: 'true' }));
  button.addEventListener('click', () => {
    view.descending = view.sort === key && !view.descending;
    view.sort = key;
    draw();
  });
  head.append(button);
}

function drawHeads() {
  for (const head of byId('heads').children) {
    const sorted = head.dataset.column === view.sort;
    if (sorted) head.setAttribute('aria-sort', view.descending ? 'descending' : 'ascending');
    else head.removeAttribute('aria-sort');
  }
}

class Row {
  #node;
  #isLive = false;
  #cells = {};
  #parts = {};
  #rtt = new Sparkline();
  #streams = new Sparkline({ least: 4 });
  #dials = new Sparkline();
  element = make('tr');

  constructor(name) {
    this.name = name;
    this.element.setAttribute('role', 'row');
    for (const key of Object.keys(COLUMNS)) {
      const cell = make(key === 'name' ? 'th' : 'td', { className: key });
      cell.setAttribute('role', key === 'name' ? 'rowheader' : 'cell');
      if (key === 'name') cell.scope = 'row';
      this.#cells[key] = cell;
      this.element.append(cell);
    }
    const part = (cell, id, tag, className = '') => {
      this.#parts[id] = make(tag, { className });
      this.#cells[cell].append(this.#parts[id]);
    };
    part('name', 'name', 'bdi');
    part('name', 'address', 'bdi', 'small');
    part('state', 'state', 'span');
    part('state', 'since', 'time', 'small');
    part('cause', 'message', 'p');
    part('cause', 'next', 'p', 'small');
    part('rtt', 'rtt', 'b');
    this.#cells.rtt.append(this.#rtt.element);
    part('streams', 'streams', 'b');
    this.#cells.streams.append(this.#streams.element);
    part('streams', 'waiting', 'span', 'small');
    part('dials', 'dials', 'b');
    this.#cells.dials.append(this.#dials.element);
    part('dials', 'failed', 'span', 'small');
    part('connections', 'connections', 'span');
    part('connections', 'counts', 'span', 'small');
  }

  draw(node) {
    if (node === this.#node) return;
    this.#node = node;
    const parts = this.#parts;
    const { connections = {}, counts = {} } = node;
    const state = stateOf(node);
    setText(parts.name, printable(node.name));
    const address = String(node.address ?? '');
    const role = (node.via ? ' via ' + node.via : '') + (node.bastion ? ', bastion' : '');
    setText(parts.address, printable((address.includes(':') ? '[' + address + ']' : address) + ':' + node.port + role));
    this.element.dataset.state = state;
    parts.state.className = 'state ' + state;
    parts.state.dataset.symbol = SYMBOLS[state] ?? '?';
    setText(parts.state, printable(node.state));
    parts.since.dateTime = String(node.since);
    parts.since.title = 'since ' + localTime(node.since);
    setText(parts.connections, [whole(connections.ready ?? 0) + ' open',
      connections.connecting && whole(connections.connecting) + ' opening',
      connections.draining && whole(connections.draining) + ' draining'].filter(Boolean).join(', '));
    setText(parts.counts, [counts.lost && whole(counts.lost) + ' lost', counts.failed && whole(counts.failed) + ' failed']
      .filter(Boolean).join(', '));
    this.#drawCause(node);
    if (!this.#isLive) this.live();
    this.#isLive = true;
  }

  #drawCause({ cause, clusterReady, keyInstall }) {
    const { message } = this.#parts;
    const cluster = clusterReady === false ? 'The cluster does not take it for ready.' : '';
    const key = keyInstall?.state === 'failing' ? 'Our key cannot be installed: ' + printable(keyInstall.failure?.message) : '';
    const text = [cause ? printable(cause.message) : '', key, cluster].filter(Boolean).join(' ');
    setText(message, text);
    message.title = cause ? printable(cause.code) : '';
    // Long ones are cut, and shown whole when they have the focus.
    if (text.length > 160) message.tabIndex = 0;
    else message.removeAttribute('tabindex');
    this.#cells.cause.classList.toggle('none', text === '');
  }

  // What changes all the time: ages and figures. Done for all rows, it would be too much to lay out.
  live() {
    const node = this.#node;
    const { open = 0, waiting = 0 } = node.channels ?? {};
    setText(this.#parts.rtt, milliseconds(roundTripOf(node)));
    setText(this.#parts.streams, whole(open));
    setText(this.#parts.waiting, waiting > 0 ? whole(waiting) + ' waiting' : '');
    setText(this.#parts.dials, perSecond(rateNow(node)));
    setText(this.#parts.failed, node.dials?.failed > 0 ? whole(node.dials.failed) + ' failed' : '');
    setText(this.#parts.since, 'for ' + duration(now() - Date.parse(node.since)));
    const code = node.cause ? printable(node.cause.code) : '';
    const inMs = node.retryAt ? Date.parse(node.retryAt) - now() : undefined;
    const next = inMs === undefined ? '' : inMs > 0 ? 'next attempt in ' + duration(inMs) : 'next attempt now';
    setText(this.#parts.next, [code, next].filter(Boolean).join(' · '));
  }

  chart() {
    const { rtt, streams, dials } = historyOf(this.name);
    this.#rtt.draw(rtt);
    this.#streams.draw(streams);
    this.#dials.draw(dials);
  }
}

const rows = new Map();
let shown = [];

// Rows that somebody can see, or soon will.
const inSight = new Set();
const rowOf = new WeakMap();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const row = rowOf.get(target);
    if (!isIntersecting) { inSight.delete(row); continue; }
    inSight.add(row);
    row.live();
    row.chart();
  }
}, { rootMargin: '200px' });

function matching() {
  const text = view.text.trim().toLowerCase();
  const hit = (node) => [node.name, node.address, node.via, node.cause?.message, node.cause?.code]
    .some((field) => field !== undefined && String(field).toLowerCase().includes(text));
  const sign = view.descending ? -1 : 1;
  const { compare } = COLUMNS[view.sort];
  const named = (node) => Number(text !== '' && node.name.toLowerCase() === text);
  return [...fleet.nodes.values()]
    .filter((node) => (view.states.size === 0 || view.states.has(stateOf(node))) && (text === '' || hit(node)))
    .sort((a, b) => named(b) - named(a) || sign * (compare(a, b) || collator.compare(a.name, b.name)));
}

function drawTable() {
  const nodes = matching();
  const names = nodes.slice(0, view.limit).map((node) => node.name);
  for (const [name, row] of rows) {
    if (fleet.nodes.has(name)) continue;
    rows.delete(name);
    inSight.delete(row);
    sight.unobserve(row.element);
  }
  for (const name of names) {
    if (!rows.has(name)) {
      const row = new Row(name);
      rows.set(name, row);
      rowOf.set(row.element, row);
      sight.observe(row.element);
    }
    rows.get(name).draw(fleet.nodes.get(name));
  }
  if (names.length !== shown.length || names.some((name, index) => name !== shown[index])) {
    const focused = document.activeElement;
    byId('rows').replaceChildren(...names.map((name) => rows.get(name).element));
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    shown = names;
  }
  for (const row of inSight) row.live();
  const left = nodes.length - names.length;
  byId('more').hidden = left <= 0;
  setText(byId('more'), 'Show ' + whole(left) + ' more');
  byId('empty').hidden = nodes.length > 0;
  setText(byId('empty'), fleet.nodes.size === 0 ? 'There are no nodes.' : 'No node matches.');
  drawHeads();
}
`;
