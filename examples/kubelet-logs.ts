/*
 * Reads a container's log from the kubelet of a node that only SSH can reach. `--help` says how.
 *
 * What is worth reading is in support/read-container-log.ts: a dialer, an agent on top of it, and a plain
 * HTTPS request.
 */
import { asProcess } from './support/as-process.js';
import { kubeletLogs } from './support/kubelet-logs.js';

await asProcess(kubeletLogs);
