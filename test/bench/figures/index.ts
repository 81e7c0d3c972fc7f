import type { Figure } from '../figure.js';
import { dialRate } from './dial-rate.js';
import { sequentialDials } from './sequential-dials.js';
import { download, upload } from './throughput.js';
import { twoPieces } from './two-pieces.js';

/** All figures, in the order in which they are measured and shown. */
export const FIGURES: readonly Figure[] = [sequentialDials, twoPieces, download, upload, dialRate];
