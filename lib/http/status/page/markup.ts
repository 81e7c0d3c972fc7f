const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 14V8a6 6 0 0 1 12 0v6h-3V8a3 3 0 0 0-6 0v6z' fill='%23288b5e'/%3E%3C/svg%3E";

/** The page's skeleton; the script fills in what is live. Roles are spelt out because narrow screens lay the table out as blocks, and lose its own. */
export const markup = (style: string, script: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>tunnel-dialer</title>
<link rel="icon" href="${icon}">
<style>${style}</style>
<body>
<a class="skip" href="#nodes">Skip to the nodes</a>
<header>
  <h1>tunnel-dialer</h1>
  <p id="live" data-live="off"><span id="live-text">connecting</span></p>
</header>
<main>
  <noscript><p class="notice">This page needs JavaScript. The same is told as JSON at <code>statusz</code> beside it.</p></noscript>
  <p class="notice" id="notice" role="alert" hidden></p>
  <p class="hidden" id="spoken" role="status"></p>
  <section class="tiles" aria-label="Summary">
    <div class="tile"><h2>Nodes that can be used</h2><p class="figure"><b id="usable">–</b> <span id="usable-of"></span></p><div id="usable-bar" aria-hidden="true"></div></div>
    <div class="tile"><h2>Streams</h2><p class="figure"><b id="streams">–</b> <span>open</span></p><div id="streams-chart"></div></div>
    <div class="tile"><h2>Dials</h2><p class="figure"><b id="dials">–</b> <span><span id="waiting">–</span> waiting</span></p><div id="dials-chart"></div></div>
    <div class="tile"><h2>Round trip</h2><p class="figure"><b id="rtt">–</b> <span>median</span></p><div id="rtt-chart"></div></div>
    <div class="tile"><h2>Source of the nodes</h2><p class="figure"><b id="source">–</b></p><p class="small" id="source-name"></p><p class="small" id="source-note"></p><p class="small" id="source-left-out"></p></div>
  </section>
  <section aria-label="Nodes">
    <div id="map" aria-hidden="true"></div>
    <div class="tools">
      <div id="chips" role="group" aria-label="Show nodes by state"></div>
      <input id="filter" type="search" placeholder="Filter by name, address or cause" aria-label="Filter nodes by name, address or cause" aria-keyshortcuts="/" autocomplete="off" spellcheck="false" maxlength="200">
    </div>
    <table id="nodes" role="table" tabindex="-1">
      <caption class="hidden">Nodes, those with problems first</caption>
      <thead role="rowgroup"><tr role="row" id="heads"></tr></thead>
      <tbody role="rowgroup" id="rows"></tbody>
    </table>
    <p id="empty" hidden></p>
    <p><button id="more" type="button" hidden></button></p>
  </section>
</main>
<footer>
  <p>Charts show the last three minutes, as far as this page has been open.</p>
  <nav aria-label="The same for machines" id="links"></nav>
</footer>
<script type="module">${script}</script>
`;
