import { createHash } from 'node:crypto';
import { markup } from './markup.js';
import { chartScript } from './chart-script.js';
import { fleetScript } from './fleet-script.js';
import { liveScript } from './live-script.js';
import { overviewScript } from './overview-script.js';
import { tableScript } from './table-script.js';
import { textScript } from './text-script.js';
import { style } from './style.js';

// One module: each part may use what stands before it.
const script = [textScript, chartScript, fleetScript, overviewScript, tableScript, liveScript].join('\n');

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Lets our script and style run and nothing else, and forbids to make elements of text (Trusted Types), as far as the browser can. */
export const pageSecurityPolicy = [
  "default-src 'none'",
  `script-src ${sha256(script)}`,
  `style-src ${sha256(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** The page: the same for every dialer and wherever it is mounted. It fetches what it shows from `events` beside it. */
export const page = markup(style, script);
