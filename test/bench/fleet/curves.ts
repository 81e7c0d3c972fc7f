import type { Watched } from './messages.js';
import { reading, type Curve, type Reading } from './section.js';

/** The default of `reconnect.maxHandshakes`. */
const MAX_HANDSHAKES = 32;

export function handshakesIn({ handshakes }: Watched): Reading {
  return reading('handshakes under way at most', Math.max(...handshakes), '', MAX_HANDSHAKES);
}

export function curvesOf({ sampleMs, handshakes, ready }: Watched, nodes: number): Curve[] {
  return [
    { name: 'handshakes under way', sampleMs, values: handshakes, full: MAX_HANDSHAKES },
    { name: 'nodes ready', sampleMs, values: ready, full: nodes },
  ];
}
