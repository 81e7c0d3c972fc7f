/*
 * Forwards local ports to a pod, like `kubectl port-forward`, through the kubelet of a node that only SSH can reach. `--help` says how.
 *
 * What is worth reading is in support/port-forward.ts: to `listen` a pod is one more Dialer.
 */
import { asProcess } from './support/as-process.js';
import { portForward } from './support/port-forward.js';

await asProcess(portForward);
