import type { Duplex } from 'node:stream';
import { listenForAbort } from '../../abortable-signal.js';
import type { UpgradeExchange } from '../exchange.js';
import { ClientGoneError } from './attempt.js';
import { reset } from './leave.js';
import { openUpgrade, type Opened } from './open-upgrade.js';
import { prepare } from './prepare.js';
import { relayAnswer } from './relay-answer.js';
import type { RequestHead } from './request-head.js';
import { splice } from './splice.js';

/** What an upgrade is carried by, whoever it is for. */
export interface Carriage {
  readonly upgrade: UpgradeExchange;
  readonly head: RequestHead;
  /** A connection of its own, TLS done; see {@link Backend.connect}. */
  readonly connect: (signal: AbortSignal) => Promise<Duplex>;
  /** Gives it up; once the client has its answer, that cuts both connections. */
  readonly signal?: AbortSignal | undefined;
  /** How long the backend may take to answer when it has the request, in milliseconds. Default: 150 000. */
  readonly answerTimeoutMs?: number | undefined;
  /** Which answers other than 101 are passed on. Default: those from 400 on, as kube-apiserver does. */
  readonly passesOn?: ((status: number) => boolean) | undefined;
  /** Is told the status of the backend's answer when the client is about to get it. */
  readonly onAnswer?: ((status: number) => void) | undefined;
}

/**
 * Sends an upgrade request on a connection of its own and passes on the answer: 101, and then bytes both ways until one side ends; or a refusal.
 * Until the 101 nothing of the client's goes on but its request: what it sends early waits.
 *
 * Resolves when both connections are closed; also when the client goes before it is answered. Rejects only while the client has not been
 * answered, which is then left to the caller ({@link sendStatusOnSocket}).
 *
 * @throws {@link StatusError} 500 `error dialing backend: …`, `error sending request: …`, `error reading the upgrade response: …`,
 *   `invalid upgrade response: …`; 504 when there is no answer; the signal's reason
 */
export async function carryUpgrade(carriage: Carriage): Promise<void> {
  const { upgrade, signal } = carriage;
  prepare(upgrade);
  try {
    const opened = await openUpgrade(carriage);
    const cut = (): void => {
      reset(upgrade.socket);
      opened.backend.destroy();
    };
    if (signal !== undefined) listenForAbort(signal, cut);
    await passOn(upgrade, opened);
    signal?.removeEventListener('abort', cut);
  } catch (error) {
    // What is left of the body is of no use.
    upgrade.request.resume();
    if (!(error instanceof ClientGoneError)) throw error;
    upgrade.socket.destroy();
  }
}

async function passOn({ request, socket: client }: UpgradeExchange, opened: Opened): Promise<void> {
  const { backend } = opened;
  if (opened.isUpgraded) {
    const { raw, rest } = opened.reply;
    client.write(rest.length === 0 ? raw : Buffer.concat([raw, rest]));
    await splice(client, backend, opened.requestBody);
  } else {
    request.resume();
    await relayAnswer(client, backend, opened.reply, opened.body);
  }
}
