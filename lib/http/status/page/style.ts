/** Colours are variables, each a pair for light and dark with a contrast of at least 4.5 to what it stands on. */
export const style = /* css */ `
:root {
  --page: #f7f7f5; --card: #ffffff; --ink: #1b1d20; --soft: #5c6169; --line: #e4e4df; --accent: #2a5fc4;
  --ready: #1c7a4d; --degraded: #8f5a00; --down: #c0312b; --connecting: #2a5fc4; --idle: #636871; --unknown: #7a3fb0;
  --ready-cell: #7cc6a0; --idle-cell: #c9cbc8;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111315; --card: #191c1f; --ink: #e7e8e6; --soft: #a0a5ad; --line: #2a2e33; --accent: #86b0ff;
    --ready: #5cc998; --degraded: #e5ac4d; --down: #ff8078; --connecting: #86b0ff; --idle: #a3a8b0; --unknown: #cfa3f5;
    --ready-cell: #2c6b4e; --idle-cell: #3d4248;
  }
}
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
body {
  max-width: 1400px; margin: 0 auto; padding: 20px 28px 40px; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif; font-variant-numeric: tabular-nums;
}
h1 { font-size: 17px; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: 12px; font-weight: 500; color: var(--soft); }
button, input { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.small { font-size: 12px; color: var(--soft); }
.hidden, .skip:not(:focus) { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header, footer { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; justify-content: space-between; }
header { margin-bottom: 16px; }
footer { margin-top: 28px; font-size: 12px; color: var(--soft); }
footer a { color: inherit; margin-left: 12px; }
footer a:first-child { margin-left: 0; }

#live { font-size: 12px; color: var(--soft); }
#usable-bar { display: flex; gap: 2px; height: 10px; margin-bottom: 4px; border-radius: 5px; overflow: hidden; }
#usable-bar i { flex: 0 1 0; min-width: 5px; background: var(--idle-cell); }
#live::before { content: ''; display: inline-block; width: 8px; height: 8px; margin-right: 6px; border-radius: 50%; background: var(--idle); }
#live[data-live=on]::before { background: var(--ready); animation: breathe 3s ease-in-out infinite; }
@keyframes breathe { 50% { opacity: .35; } }
.notice { margin-bottom: 16px; padding: 10px 14px; border: 1px solid var(--degraded); border-radius: 8px; color: var(--degraded); background: var(--card); }

.tiles { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); border: 1px solid var(--line); border-radius: 10px; background: var(--card); overflow: hidden; }
.tile { padding: 14px 18px 12px; border-left: 1px solid var(--line); display: flex; flex-direction: column; min-width: 0; overflow-wrap: anywhere; }
.tile:first-child { border-left: 0; }
.figure { margin: 2px 0 4px; font-size: 14px; color: var(--soft); }
.figure b { font-size: 26px; line-height: 1.2; font-weight: 600; letter-spacing: -.02em; color: var(--ink); }
.tile div { margin-top: auto; }
.tile svg { display: block; width: 100%; height: 40px; }
#source { font-size: 20px; line-height: 31px; }
.tile[data-state=stale] b, .tile[data-state=waiting] b { color: var(--degraded); }
svg .line { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; vector-effect: non-scaling-stroke; }
svg .area { fill: var(--accent); opacity: .12; }

#map { display: flex; flex-wrap: wrap; gap: 3px; margin: 20px 0 14px; }
#map i { width: 18px; height: 18px; border-radius: 4px; background: var(--idle-cell); cursor: pointer; }
#map[data-size=some] i { width: 13px; height: 13px; border-radius: 3px; }
#map[data-size=many] { gap: 2px; }
#map[data-size=many] i { width: 9px; height: 9px; border-radius: 2px; }
#map i.ready, #usable-bar i.ready { background: var(--ready-cell); }
#map i.degraded { background: linear-gradient(135deg, var(--degraded) 50%, var(--ready-cell) 50%); }
#usable-bar i.degraded { background: var(--degraded); }
#map i.down, #usable-bar i.down { background: var(--down); }
#map i.connecting { background: none; box-shadow: inset 0 0 0 2px var(--connecting); }
#usable-bar i.connecting { background: var(--connecting); }
#map i.unknown, #usable-bar i.unknown { background: var(--unknown); }
#map i:hover { outline: 2px solid var(--ink); }

.tools { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; justify-content: space-between; margin-bottom: 10px; }
#chips { display: flex; flex-wrap: wrap; gap: 6px; }
.chip { padding: 3px 11px; border: 1px solid var(--line); border-radius: 99px; background: var(--card); cursor: pointer; font-size: 13px; }
.chip b { font-weight: 600; }
.chip i { font-style: normal; font-weight: 700; margin-right: 6px; }
.chip.all i { display: none; }
.chip.none { color: var(--soft); }
.chip[aria-pressed=true] { border-color: var(--ink); box-shadow: inset 0 0 0 1px var(--ink); }
.chip:hover { border-color: var(--soft); }
#filter { width: 300px; max-width: 100%; padding: 5px 11px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
#filter::placeholder { color: var(--soft); opacity: 1; }

table { width: 100%; border-collapse: collapse; table-layout: fixed; background: var(--card); border-radius: 10px; box-shadow: 0 0 0 1px var(--line); }
th, td { padding: 7px 14px; text-align: left; vertical-align: top; font-weight: 400; overflow-wrap: anywhere; }
tbody tr { border-top: 1px solid var(--line); }
thead th { padding: 0 14px; font-size: 12px; color: var(--soft); line-height: 34px; white-space: nowrap; }
thead button { padding: 0; border: 0; background: none; color: inherit; cursor: pointer; }
thead button:hover { color: var(--ink); }
thead [aria-sort] button { color: var(--ink); font-weight: 600; }
thead [aria-sort=ascending] i::after { content: ' ↓'; font-style: normal; }
thead [aria-sort=descending] i::after { content: ' ↑'; font-style: normal; }
th.name { width: 22%; } th.state { width: 128px; } th.rtt { width: 172px; } th.streams { width: 152px; } th.dials { width: 164px; } th.connections { width: 124px; }
tbody th.name bdi:first-child { font-weight: 600; }
td.cause p:first-child, td.connections span:first-child { font-size: 13px; }
tbody th bdi, td .small, td time { display: block; }
tbody th .small { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 11.5px; }
span.state { font-weight: 600; white-space: nowrap; }
span.state::before { content: attr(data-symbol); display: inline-block; width: 1.3em; font-weight: 700; }
td time { padding-left: 1.5em; }
.down { --tone: var(--down); } .degraded { --tone: var(--degraded); } .connecting { --tone: var(--connecting); }
.idle { --tone: var(--idle); } .ready { --tone: var(--ready); } .unknown { --tone: var(--unknown); }
span.state, .chip i { color: var(--tone, inherit); }
td.cause p:first-child { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
td.cause p:first-child:focus { -webkit-line-clamp: none; }
td svg { width: 76px; height: 22px; vertical-align: middle; }
td.rtt b, td.streams b, td.dials b { display: inline-block; min-width: 68px; font-weight: 500; white-space: nowrap; }
td.streams b { min-width: 48px; }
td.dials b { min-width: 60px; }
tr[data-state=idle] td svg, tr[data-state=down] td svg { opacity: .5; }
#empty { padding: 28px; text-align: center; color: var(--soft); }
#more { margin-top: 12px; padding: 6px 16px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); cursor: pointer; }

@media (max-width: 1250px) {
  .tiles { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .tile { grid-column: span 2; border-top: 1px solid var(--line); margin-top: -1px; }
  .tile:nth-child(4) { border-left: 0; }
  .tile:nth-child(n + 4) { grid-column: span 3; }
  td svg { display: block; width: 64px; height: 16px; margin-top: 2px; }
  th.name { width: 26%; } th.rtt, th.streams, th.dials { width: 92px; } th.connections { width: 112px; }
}
@media (max-width: 900px) {
  body { padding: 14px 14px 32px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tile, .tile:nth-child(n + 4) { grid-column: auto; padding: 11px 14px; }
  .tile:nth-child(4) { border-left: 1px solid var(--line); }
  .tile:nth-child(odd) { border-left: 0; }
  .tile:nth-child(5) { grid-column: span 2; }
  .tile svg { height: 28px; }
  .tools > * { flex: 1 1 100%; }
  table, tbody { display: block; }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  tbody tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)) auto; gap: 6px 12px; padding: 11px 14px; }
  tbody tr:first-child { border-top: 0; }
  tbody th, tbody td { padding: 0; width: auto !important; }
  th.name { grid-column: 1 / 3; }
  td.state { grid-column: 3 / 5; text-align: right; }
  td.cause { grid-column: 1 / -1; }
  td.cause.none { display: none; }
  td svg { width: 100%; max-width: 90px; }
  td.rtt::before, td.streams::before, td.dials::before, td.connections::before { display: block; font-size: 12px; color: var(--soft); }
  td.rtt::before { content: 'Round trip'; } td.streams::before { content: 'Streams'; } td.dials::before { content: 'Dials'; } td.connections::before { content: 'Connections'; }
  td time { padding: 0; }
  span.state::before { width: auto; margin-right: 5px; }
  td .small { display: block; }
  td.connections { text-align: right; }
}
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; } }
@media (forced-colors: active) { #map i { forced-color-adjust: none; } }
`;
