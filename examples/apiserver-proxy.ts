/*
 * Stands in front of a kube-apiserver that has no route to its nodes, so that kubectl's logs, exec, cp and port-forward work through SSH.
 * `--help` says how; deploy/apiserver-proxy.yaml runs it in a cluster.
 *
 * What is worth reading is in support/apiserver-proxy/serve.ts: a dialer, a proxy, a server.
 */
import { apiserverProxyCommand } from './support/apiserver-proxy/apiserver-proxy.js';
import { asProcess } from './support/as-process.js';

await asProcess(apiserverProxyCommand);
