/*
 * Shows examples/kubelet-logs.ts at work without a cluster: `npm run kubelet-logs -- --demo`, which is in support/kubelet-logs-demo.ts. Ends
 * by itself; its exit code is 0 if everything went as it should.
 */
import { asProcess } from './support/as-process.js';
import { kubeletLogs } from './support/kubelet-logs.js';

await asProcess((_argv, surroundings) => kubeletLogs(['--demo'], surroundings));
