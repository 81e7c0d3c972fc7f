/*
 * Examines every node of a fleet step by step and says what is wrong, and what to do. `--help` says how.
 *
 * What is worth reading is in support/fleet-health/examine.ts: one dialer for all nodes, and what each of its errors
 * says of a node.
 */
import { fleetHealth } from './support/fleet-health/fleet-health.js';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort('SIGINT'));
process.once('SIGTERM', () => stop.abort('SIGTERM'));

// Once the reader of a pipe has gone there may be more than one error to ignore.
process.stdout.on('error', () => undefined);

process.exitCode = await fleetHealth(process.argv.slice(2), {
  output: process.stdout,
  errors: process.stderr,
  width: process.stderr.isTTY ? process.stderr.columns : undefined,
  environment: process.env,
  signal: stop.signal,
});
