/*
 * Reads the metrics of every kubelet of a fleet at once, or asks each whether it is well. `--help` says how.
 *
 * What is worth reading is in support/scrape-metrics/scrape.ts: one dialer for all nodes, and a KubeletClient for each.
 */
import { asProcess } from './support/as-process.js';
import { scrapeMetrics } from './support/scrape-metrics/scrape-metrics.js';

await asProcess(scrapeMetrics);
