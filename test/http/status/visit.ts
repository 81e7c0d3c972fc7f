import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { StatusHandlerOptions } from '../../../lib/http/index.js';
import type { FakeDialer } from './fake-dialer.js';
import { Site } from './site.js';

export interface VisitOptions {
  readonly path?: string;
  readonly site?: StatusHandlerOptions;
  readonly browser?: BrowserContextOptions;
}

/** The status page of a dialer, open in a browser. */
export class Visit {
  readonly site: Site;
  readonly page: Page;
  /** Whatever the browser complains of: exceptions, violated policies, failed requests, dialogs. */
  readonly complaints: string[] = [];
  /** The paths that the page has asked the server for. */
  readonly requested: string[] = [];

  private constructor(site: Site, page: Page) {
    this.site = site;
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => void this.complaints.push(error.message));
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => void this.requested.push(request.url().replace(site.url(''), '')));
  }

  static async begin(browser: Browser, dialer: FakeDialer, options: VisitOptions = {}): Promise<Visit> {
    const site = await Site.start(dialer, { refreshMs: 100, ...options.site });
    const visit = new Visit(site, await browser.newPage(options.browser ?? {}));
    await visit.page.goto(site.url(options.path));
    await visit.page.locator('#live[data-live=on]').waitFor();
    return visit;
  }

  /** What stands in each row's cell of this column. */
  column(name: string): Promise<string[]> {
    return this.page.locator(`tbody > tr > .${name}`).allInnerTexts();
  }

  /** Evaluates an expression in the page. */
  evaluate<T>(expression: string): Promise<T> {
    return this.page.evaluate<T>(expression);
  }

  async end(): Promise<void> {
    await this.page.context().close();
    await this.site.end();
  }
}

/** An expression for the page: the lowest contrast of a text with what it stands on (WCAG 2.2 §1.4.3), and the text. */
export const lowestContrast = `(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let lowest = { contrast: Infinity, text: '' };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ['SCRIPT', 'STYLE'].includes(element.tagName) || !element.checkVisibility()) continue;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest.contrast) lowest = { contrast, text: node.data };
  }
  return lowest;
})()`;
