import type { Registry } from 'prom-client';

/** What a scrape gives: `name{label="value"}` to value, labels in the order in which they stand there. */
export async function scrape(registry: Registry): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, series = '', value = ''] = /^(.*) (\S+)$/.exec(line) ?? [];
      return [series, Number(value)];
    }),
  );
}

/** The series of a scrape that begin with this. */
export const startingWith = (scraped: ReadonlyMap<string, number>, start: string): Record<string, number> =>
  Object.fromEntries([...scraped].filter(([series]) => series.startsWith(start)));
