/*
 * Runs a command in a container, or a shell to work in, through the kubelet of a node that only SSH can reach. `--help` says how.
 *
 * What is worth reading is in support/kubelet-exec.ts: a dialer, a KubeletClient on top of it, and its `exec`; and how a terminal is put
 * through in support/terminal.ts.
 */
import { asProcess } from './support/as-process.js';
import { kubeletExec } from './support/kubelet-exec.js';

await asProcess(kubeletExec);
