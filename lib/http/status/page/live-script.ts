/** The connection to the server, the clock, and what the reader does. */
export const liveScript = String.raw`
// The page is at the handler's root, with or without a slash at its end.
const base = location.pathname.replace(/\/*$/, '/');
for (const path of ['statusz', 'healthz', 'readyz', 'metrics']) {
  byId('links').append(make('a', { href: base + path, textContent: path }), ' ');
}

let lastNews;
let isLive = false;
let isDrawing = false;

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (lastNews === undefined) return;
    drawOverview();
    drawTable();
    drawLive();
  });
}

function drawLive() {
  byId('live').dataset.live = isLive ? 'on' : 'off';
  setText(byId('live-text'), isLive ? 'live' : 'not connected');
  const notice = fleet.state === 'open' ? '' : 'The dialer is ' + printable(fleet.state) + '. ';
  const known = lastNews === undefined ? 'Nothing is known yet.' : 'This is what was known at ' + new Date(lastNews).toLocaleTimeString() + '.';
  const lost = isLive ? '' : 'No news from the server; trying again. ' + known;
  setText(byId('notice'), notice + lost);
  byId('notice').hidden = notice + lost === '';
}

let silence;
let patience = 45000;

function heard() {
  lastNews = Date.now();
  isLive = true;
  clearTimeout(silence);
  silence = setTimeout(lost, patience);
}

function lost() {
  isLive = false;
  drawLive();
}

function follow() {
  const events = new EventSource(base + 'events');
  const take = (all) => ({ data }) => {
    heard();
    const first = fleet.totals.streams.values.length === 0;
    learn(JSON.parse(data), all);
    if (first) tick();
    draw();
  };
  events.addEventListener('hello', ({ data }) => {
    const { heartbeatMs, refreshMs } = JSON.parse(data);
    patience = heartbeatMs * 3;
    fleet.refreshMs = refreshMs;
  });
  events.addEventListener('fleet', take(true));
  events.addEventListener('changes', take(false));
  events.addEventListener('beat', ({ data }) => { heard(); looked(JSON.parse(data).at); draw(); });
  events.addEventListener('error', () => {
    lost();
    // Browsers come back by themselves from all but an answer that is no stream.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  });
}

function tick() {
  if (!isLive) return;
  sample();
  if (document.hidden) return;
  drawTotals();
  for (const row of inSight) row.chart();
}

setInterval(tick, SAMPLE_MS);
setInterval(() => {
  if (document.hidden || lastNews === undefined) return;
  drawSource();
  for (const row of inSight) row.live();
}, 1000);
document.addEventListener('visibilitychange', draw);

byId('filter').addEventListener('input', ({ target }) => { view.text = target.value; draw(); });
byId('more').addEventListener('click', () => { view.limit = Infinity; draw(); });
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && event.target !== byId('filter')) {
    event.preventDefault();
    byId('filter').focus();
  } else if (event.key === 'Escape' && event.target === byId('filter')) {
    byId('filter').value = view.text = '';
    draw();
  }
});

follow();
`;
