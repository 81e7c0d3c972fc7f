/*
 * A cluster to try examples/apiserver-proxy.ts on, in this process: an API server without a route to its nodes, nodes, a kubelet, pods, and the
 * proxy in front of it all, for the kubectl that you have. `npm run demo:apiserver`; Ctrl-C ends it. What is in it is in
 * support/apiserver-demo/cluster.ts.
 */
import { apiserverDemo } from './support/apiserver-demo/apiserver-demo.js';
import { asProcess } from './support/as-process.js';

await asProcess(apiserverDemo);
