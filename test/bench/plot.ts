import { init, type EChartsOption } from 'echarts';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { figures } from './report.js';
import type { Result } from './results.js';
import { quantile } from './statistics.js';
import type { Usage } from './usage.js';

const WIDTH = 900;
const OURS_COLOUR = '#0b7a75';
const OTHERS_COLOUR = '#b8c4c8';

/** Points of a curve: each percent, and the slowest ones closer. */
const QUANTILES = [...Array.from({ length: 99 }, (_, percent) => percent / 100), 0.99, 0.995, 0.999, 1];

/**
 * Draws the run into a directory, which is made: bars for each metric, and a curve for each figure that has the times of its operations.
 *
 * @returns the names of the files
 */
export async function plot(directory: string, results: readonly Result[]): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  const pictures = results.flatMap((result, index) => {
    const bars = { name: fileName(result.figure, result.metric), svg: barsOf(result) };
    const isFirst = results[index - 1]?.figure !== result.figure;
    const timed = isFirst ? timedOf(result) : [];
    if (timed.length === 0) return [bars];
    return [bars, { name: fileName(result.figure, 'times'), svg: curvesOf(result, timed) }];
  });
  for (const { name, svg } of pictures) await writeFile(join(directory, name), svg);
  return pictures.map(({ name }) => name);
}

/** In the order of the rows: usage is noted in that of the turns. */
const timedOf = ({ rows, usage = [] }: Result): Usage[] =>
  rows.flatMap(({ contender }) =>
    usage.filter((used) => used.contender === contender && used.timesMs.length > 0),
  );

const fileName = (figure: string, what: string): string =>
  `${`${figure}-${what}`.replace(/[^\w]+/g, '-').toLowerCase()}.svg`;

function barsOf({ title, metric, unit, ours, rows }: Result): string {
  // The axis begins at the bottom.
  const upwards = [...rows].reverse();
  return draw(90 + 44 * rows.length, {
    title: { text: `${title}: ${metric}, ${unit}`, subtext: 'median (least–most)' },
    grid: { left: 20, right: 190, top: 70, bottom: 20, containLabel: true },
    xAxis: { type: 'value' },
    yAxis: { type: 'category', data: upwards.map(({ contender }) => contender) },
    series: [
      {
        type: 'bar',
        data: upwards.map(({ contender, median, min, max }) => ({
          value: median,
          itemStyle: { color: contender === ours ? OURS_COLOUR : OTHERS_COLOUR },
          label: {
            show: true,
            position: 'right',
            formatter: `${figures(median)} (${figures(min)}–${figures(max)})`,
          },
        })),
      },
    ],
  });
}

/** How many of the operations were done within a time: the further left and the steeper, the better. */
function curvesOf({ title, ours }: Result, usage: readonly Usage[]): string {
  return draw(520, {
    title: { text: title, subtext: 'share of all that took no longer' },
    legend: { top: 'bottom', itemGap: 24 },
    grid: { left: 20, right: 40, top: 80, bottom: 70, containLabel: true },
    xAxis: { type: 'log', name: 'ms', min: 'dataMin', axisLabel: { formatter: figures } },
    yAxis: { type: 'value', max: 100, axisLabel: { formatter: '{value} %' } },
    series: usage.map(({ contender, timesMs }) => ({
      type: 'line',
      name: contender,
      symbol: 'none',
      ...(contender === ours && { itemStyle: { color: OURS_COLOUR } }),
      lineStyle: { width: contender === ours ? 4 : 1.5 },
      z: contender === ours ? 3 : 2,
      data: QUANTILES.map((share) => [quantile(timesMs, share), share * 100]),
    })),
  });
}

function draw(height: number, option: EChartsOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    chart.setOption({ animation: false, backgroundColor: '#fff', ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
