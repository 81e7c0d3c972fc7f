import { expect } from 'chai';
import { runInNewContext } from 'node:vm';
import { chartScript } from '../../../lib/http/status/page/chart-script.js';
import { fleetScript } from '../../../lib/http/status/page/fleet-script.js';
import { textScript } from '../../../lib/http/status/page/text-script.js';
import { nodeStatus } from './fake-dialer.js';

/** What the page knows, without a page. */
interface Knowledge {
  learn(news: unknown, all: boolean): void;
  looked(at: string): void;
  sample(): void;
  historyOf(name: string): { readonly dials: { readonly values: (number | undefined)[] } };
  readonly fleet: {
    refreshMs: number;
    readonly totals: { readonly dials: { readonly values: (number | undefined)[] } };
  };
}

const START_MS = Date.parse('2030-01-01T00:00:00Z');

describe('statusHandler: dials per second on the page', () => {
  let page: Knowledge;
  let clockMs: number;

  beforeEach(() => {
    clockMs = START_MS;
    // The reader's clock goes wrong by an hour.
    const Clock = class extends Date {
      static override now = () => clockMs + 3_600_000;
    };
    const script = `${textScript}${chartScript}${fleetScript}\n({ learn, looked, sample, historyOf, fleet })`;
    page = runInNewContext(script, { Date: Clock }) as Knowledge;
    tell({ a: 0, b: 100 }, true);
    page.sample();
  });

  const at = (): string => new Date(clockMs).toISOString();

  /** What the server tells: the dials of some nodes, or of all that there are. */
  function tell(dials: Readonly<Record<string, number | undefined>>, all = false): void {
    const nodes = Object.entries(dials).map(([name, opened]) => ({
      ...nodeStatus(name),
      dials: opened === undefined ? undefined : { opened, failed: 0 },
    }));
    page.learn({ at: at(), nodes, state: 'open' }, all);
  }

  const latest = (name: string): number | undefined => page.historyOf(name).dials.values.at(-1);
  const latestOfAll = (): number | undefined => page.fleet.totals.dials.values.at(-1);

  it('are not known at first', () => {
    expect([latest('a'), latest('b'), latestOfAll()]).to.deep.equal([undefined, undefined, undefined]);
  });

  it('are those between two looks of the server, by its clock, whenever the page takes its samples', () => {
    clockMs += 1900;
    tell({ a: 19 });
    clockMs += 700;
    page.sample();
    expect([latest('a'), latest('b'), latestOfAll()]).to.deep.equal([10, 0, 10]);
    clockMs += 1200;
    tell({ a: 20 });
    clockMs += 1900;
    tell({ a: 57, b: 138 });
    page.sample();
    expect([latest('a'), latest('b'), latestOfAll()]).to.deep.equal([10, 10, 20]);
  });

  it('stay while the next look is due, and are none when it had nothing to tell', () => {
    clockMs += 2000;
    tell({ a: 10 });
    page.sample();
    clockMs += 2010;
    page.sample();
    expect([latest('a'), latestOfAll()]).to.deep.equal([5, 5]);
    clockMs += 2000;
    page.sample();
    expect([latest('a'), latestOfAll()]).to.deep.equal([0, 0]);
    page.fleet.refreshMs = 10_000;
    tell({ a: 10 });
    page.sample();
    clockMs += 10_000;
    tell({ a: 30 });
    page.sample();
    clockMs += 10_000;
    page.sample();
    expect(latest('a')).to.equal(2);
  });

  it('count a silence that a heartbeat ends as time without dials', () => {
    clockMs += 15_000;
    page.looked(at());
    page.sample();
    expect(latest('a')).to.equal(0);
    clockMs += 2_000;
    tell({ a: 8 });
    page.sample();
    expect(latest('a')).to.equal(4);
  });

  it('begin anew with a node that was changed, and are not known of one that was just added', () => {
    clockMs += 2000;
    tell({ a: 4, b: 6, c: 1000 }, true);
    page.sample();
    expect([latest('a'), latest('b'), latest('c'), latestOfAll()]).to.deep.equal([2, 3, undefined, 5]);
    clockMs += 2000;
    tell({ a: 6 }, true);
    page.sample();
    expect(latestOfAll()).to.equal(1);
  });

  it('are not known of a dialer that does not count dials', () => {
    clockMs += 2000;
    tell({ a: undefined, b: undefined }, true);
    page.sample();
    expect([latest('a'), latestOfAll()]).to.deep.equal([undefined, undefined]);
  });
});
