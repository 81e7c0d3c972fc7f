/*
 * Fetches a URL as a node sees it: a pod, a service, a name that only the cluster's DNS knows. `--help` says how.
 *
 * What is worth reading is in support/fetch-through-node.ts: a dialer, undici's Agent with our connect function, and a plain `fetch`.
 */
import { asProcess } from './support/as-process.js';
import { fetchThroughNode } from './support/fetch-through-node.js';

await asProcess(fetchThroughNode);
