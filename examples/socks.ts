/*
 * A SOCKS5 or HTTP CONNECT proxy on this machine whose connections go through nodes that only SSH can reach. `--help` says how.
 *
 * What is worth reading is in support/socks.ts: a dialer, and `socks5` or `httpConnect` on top of it.
 */
import { asProcess } from './support/as-process.js';
import { socks } from './support/socks.js';

await asProcess(socks);
