import type { Backend } from '../backend.js';
import type { UpgradeExchange } from '../exchange.js';
import { carryUpgrade } from './carry-upgrade.js';
import { nodeBound } from './node-bound.js';
import { upgradeHead } from './request-head.js';

/** What an upgrade to a backend needs. */
export interface UpgradeRelay {
  readonly upgrade: UpgradeExchange;
  readonly backend: Backend;
  /** Path and query as the backend is to get them. */
  readonly path: string;
  /** The client's, for `X-Forwarded-For`. Default: the address that it is connected from. */
  readonly clientAddress?: string | undefined;
  /** Gives it up; once the client has its answer, that cuts both connections. */
  readonly signal?: AbortSignal | undefined;
  /** How long the backend may take to answer when it has the request, in milliseconds. Default: 150 000. */
  readonly answerTimeoutMs?: number | undefined;
  /** Is told the status of the answer that the client gets: 101, or that of a refusal. Not called for what is rejected with. */
  readonly onAnswer?: ((status: number) => void) | undefined;
}

/**
 * Relays an upgrade, SPDY/3.1 by POST or WebSocket by GET, to a kubelet, a pod or an endpoint of a service, as kube-apiserver does (apimachinery,
 * pkg/util/proxy/upgradeaware.go). The request goes on without `Authorization`, `Impersonate-*`, `X-Remote-*` and tokens among the
 * subprotocols; the answer comes back byte for byte, and everything after a 101 in both directions. A refusal of 400 and more is passed on
 * with its body, and the connection closed; kubectl falls back to another protocol by it.
 *
 * Unlike there, what the client sends before the 101 waits for it; a client that ends before it is answered is taken for gone; upgrades
 * to HTTP/2 and TLS are refused; fields that `Connection` names are left out.
 *
 * Resolves when both connections are closed; also when the client goes before it is answered. Rejects only while the client has not been
 * answered: send it the Status then ({@link sendStatusOnSocket}).
 *
 * @throws {@link StatusError} 400 and 417 for a head that cannot be passed on; 500 `error dialing backend: …`, `error sending request: …`,
 *   `invalid upgrade response: …`; 504 when the backend does not answer; the signal's reason
 */
export async function relayUpgrade(relay: UpgradeRelay): Promise<void> {
  const { upgrade, backend, path, clientAddress, signal, answerTimeoutMs, onAnswer } = relay;
  upgrade.socket.on('error', () => undefined);
  const head = upgradeHead(upgrade.request, nodeBound(upgrade.request, path, clientAddress));
  const connect = (given: AbortSignal) => backend.connect(given);
  await carryUpgrade({ upgrade, head, connect, signal, answerTimeoutMs, onAnswer });
}
