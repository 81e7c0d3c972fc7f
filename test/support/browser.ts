import { chromium, type Browser } from 'playwright-core';
import type { Feature } from './applicability.js';
import { findProgram } from './find-program.js';

const program = ['chromium', 'chromium-browser', 'google-chrome'].map(findProgram).find(Boolean);

/** Debian's `chromium`, or what goes by another name elsewhere. */
export const chromiumBrowser: Feature = { name: 'chromium', present: program !== undefined };

/** Starts a Chromium without a window. Its sandbox does not work for root, nor in most containers; it sees our own pages only. */
export function launchBrowser(): Promise<Browser> {
  if (program === undefined) throw new Error("there is no Chromium; install Debian's package chromium");
  return chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
