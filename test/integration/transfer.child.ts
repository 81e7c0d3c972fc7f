/**
 * Runs the exchanges that it is given on standard input and writes what arrived to standard output. A process of its own, because
 * ssh2's native addon can be switched off only before ssh2 is loaded: see test/support/native-addon.ts.
 */
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import type { EndpointPlace, SshAccess } from '../support/sshd.js';
import { exchange, type Exchanged, type Shape } from './exchange.js';
import { dialerTo } from './stage.js';

/** What the child is to do. */
export interface TransferOrder {
  readonly access: SshAccess & EndpointPlace;
  readonly shapes: readonly Shape[];
}

/** What the child has done. */
export interface TransferReport {
  /** Whether ssh2 used its native addon. */
  readonly nativeAddon: boolean;
  readonly exchanged: readonly Exchanged[];
}

const { bindingAvailable } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js') as {
  bindingAvailable: boolean;
};

const { access, shapes } = JSON.parse(await text(process.stdin)) as TransferOrder;
const dialer = dialerTo(access);
const exchanged: Exchanged[] = [];
for (const shape of shapes) exchanged.push(await exchange(dialer, access, shape));
await dialer.close();
const report: TransferReport = { nativeAddon: bindingAvailable, exchanged };
console.log(JSON.stringify(report));
