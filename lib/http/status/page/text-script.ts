/** How numbers, times and texts from elsewhere are shown. */
export const textScript = String.raw`
const byId = (id) => document.getElementById(id);

// What would turn, hide or break text is spelt out.
const printable = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
  (character) => '\\u' + character.codePointAt(0).toString(16).padStart(4, '0'));

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Leaves the document alone where nothing has changed: no layout, no lost selection.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat('en').format;

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return seconds + ' s';
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes + ' min';
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours + ' h' + (minutes % 60 && hours < 10 ? ' ' + (minutes % 60) + ' min' : '');
  return Math.floor(hours / 24) + ' d';
}

function milliseconds(ms) {
  if (ms === undefined) return '–';
  return (ms < 10 ? ms.toFixed(1) : whole(Math.round(ms))) + ' ms';
}

function perSecond(rate) {
  if (rate === undefined) return '–';
  return (rate > 0 && rate < 10 ? rate.toFixed(1) : whole(Math.round(rate))) + '/s';
}

const plural = (count, one, many = one + 's') => whole(count) + ' ' + (count === 1 ? one : many);

// Ages are counted by the server's clock, which need not agree with ours.
let clockOffset = 0;
const now = () => Date.now() + clockOffset;
const localTime = (date) => new Date(date).toLocaleString();
`;
