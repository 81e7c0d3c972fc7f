/*
 * Reads a container's log from the kubelet of a node that only SSH can reach. `--help` says how.
 *
 * What is worth reading is in support/read-container-log.ts: a dialer, and a client of the kubelet on top of it.
 */
import { kubeletLogs } from './support/kubelet-logs.js';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort('SIGINT'));
process.once('SIGTERM', () => stop.abort('SIGTERM'));

// Once the reader of a pipe has gone there may be more than one error to ignore.
process.stdout.on('error', () => undefined);

process.exitCode = await kubeletLogs(process.argv.slice(2), {
  output: process.stdout,
  errors: process.stderr,
  environment: process.env,
  signal: stop.signal,
});
