/** Small charts: what they remember, and how they are drawn. */
export const chartScript = String.raw`
const SAMPLE_MS = 2000;
const SAMPLES = 90;

// The last values of something, oldest first; undefined where there was none.
class History {
  values = [];

  add(value) {
    this.values.push(value);
    if (this.values.length > SAMPLES) this.values.shift();
  }
}

const SVG = 'http://www.w3.org/2000/svg';

// An area under a line; its right edge is now. least is the value that reaches the top when all are smaller.
class Sparkline {
  #line = document.createElementNS(SVG, 'path');
  #area = document.createElementNS(SVG, 'path');
  element = document.createElementNS(SVG, 'svg');

  constructor({ width = 90, height = 22, least = 1 } = {}) {
    Object.assign(this, { width, height, least });
    this.element.setAttribute('viewBox', '0 0 ' + width + ' ' + height);
    this.element.setAttribute('preserveAspectRatio', 'none');
    this.element.setAttribute('aria-hidden', 'true');
    this.#area.setAttribute('class', 'area');
    this.#line.setAttribute('class', 'line');
    this.element.append(this.#area, this.#line);
  }

  draw({ values }) {
    const { width, height } = this;
    const top = Math.max(this.least, ...values.filter((value) => value !== undefined)) * 1.15;
    const step = width / (SAMPLES - 1);
    let line = '', area = '', runStart;
    const place = (index) => (width - (values.length - 1 - index) * step).toFixed(1);
    const endRun = (index) => {
      if (runStart !== undefined) area += 'L' + place(index) + ' ' + height + 'L' + place(runStart) + ' ' + height + 'Z';
      runStart = undefined;
    };
    values.forEach((value, index) => {
      if (value === undefined) return endRun(index - 1);
      const point = place(index) + ' ' + (height - 1 - (value / top) * (height - 2)).toFixed(1);
      // A line of one point is drawn by its round ends.
      line += runStart === undefined ? 'M' + point + 'L' + point : 'L' + point;
      area += (runStart === undefined ? 'M' : 'L') + point;
      runStart ??= index;
    });
    endRun(values.length - 1);
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', area);
  }
}
`;
