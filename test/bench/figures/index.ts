import type { Figure } from '../figure.js';
import { echoBesideDownload, echoBesideUpload } from './beside-bulk.js';
import { dialBurst, dialRate } from './dial-rate.js';
import { echo } from './echo.js';
import { httpsBody, httpsRequests, tlsHandshakes } from './https.js';
import { echoAmong1000, echoAmong4000 } from './idle-channels.js';
import { idleMemory } from './idle-memory.js';
import { recovery } from './recovery.js';
import { sequentialDials } from './sequential-dials.js';
import { spacedDials } from './spaced-dials.js';
import { download, downloads, upload, uploads } from './throughput.js';
import { twoPieces } from './two-pieces.js';

/** All figures, in the order in which they are measured and shown. */
export const FIGURES: readonly Figure[] = [
  sequentialDials,
  spacedDials,
  twoPieces,
  echo,
  echoBesideDownload,
  echoBesideUpload,
  download,
  upload,
  downloads,
  uploads,
  dialRate,
  dialBurst,
  httpsRequests,
  httpsBody,
  tlsHandshakes,
  echoAmong1000,
  echoAmong4000,
  recovery,
  idleMemory,
];
