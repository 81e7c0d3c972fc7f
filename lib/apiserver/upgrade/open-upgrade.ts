import type { Duplex } from 'node:stream';
import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import { unlessAborted } from '../../unless-aborted.js';
import { StatusError } from '../status-error.js';
import { Attempt } from './attempt.js';
import type { Carriage } from './carry-upgrade.js';
import { replyBody, type ReplyBody } from './reply-body.js';
import { readReplyHead, type ReplyHead } from './reply-head.js';
import { bodySource, RequestBody } from './request-body.js';

/** A kubelet may have to ask its container runtime first, for which it has two minutes. */
const ANSWER_TIMEOUT_MS = 150_000;

/** What a dial says may name several nodes. */
const MAX_MESSAGE_LENGTH = 500;

/** What a backend has answered, on a connection that is paused behind it. */
export type Opened =
  | {
      readonly isUpgraded: true;
      readonly backend: Duplex;
      /** Its head, and what came with it. */
      readonly reply: ReplyHead;
      /** What is left of the request, behind which the stream begins. */
      readonly requestBody: RequestBody;
    }
  | {
      readonly isUpgraded: false;
      readonly backend: Duplex;
      readonly reply: ReplyHead;
      readonly body: ReplyBody;
    };

/**
 * Connects, sends the request, and waits for an answer that may be passed on.
 *
 * @throws {@link StatusError}; {@link ClientGoneError}; the signal's reason
 */
export async function openUpgrade(carriage: Carriage): Promise<Opened> {
  const { upgrade, signal, head, passesOn = (status) => status >= 400, onAnswer } = carriage;
  using attempt = new Attempt(upgrade.socket, signal);
  const backend = await dial(carriage, attempt.signal);
  try {
    const { reply, requestBody } = await ask(carriage, backend, attempt);
    const { status } = reply;
    if (status === 101) {
      onAnswer?.(status);
      return { isUpgraded: true, backend, reply, requestBody };
    }
    requestBody.stop();
    if (!passesOn(status)) throw new StatusError(500, '', `invalid upgrade response: status code ${status}`);
    const body = bodyOf(reply, head.method);
    onAnswer?.(status);
    return { isUpgraded: false, backend, reply, body };
  } catch (error) {
    backend.destroy();
    throw error;
  }
}

async function dial({ connect }: Carriage, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted();
  const connecting = connect(signal);
  try {
    const backend = await unlessAborted(connecting, signal);
    return backend.on('error', () => undefined); // 'close' follows
  } catch (error) {
    connecting.then(
      (late) => late.on('error', () => undefined).destroy(),
      () => undefined,
    );
    if (signal.aborted) throw signal.reason;
    throw failed('error dialing backend', error);
  }
}

async function ask(
  { upgrade, head, answerTimeoutMs = ANSWER_TIMEOUT_MS }: Carriage,
  backend: Duplex,
  attempt: Attempt,
): Promise<{ readonly reply: ReplyHead; readonly requestBody: RequestBody }> {
  const late = setTimeout(() => {
    const problem = `the backend did not answer the upgrade within ${answerTimeoutMs} ms`;
    attempt.abort(new StatusError(504, 'Timeout', problem));
  }, answerTimeoutMs);
  const replied = readReplyHead(backend);
  let doing = 'error sending request';
  backend.write(head.bytes, (error) => {
    if (!error) doing = 'error reading the upgrade response';
  });
  const from = bodySource(upgrade.request, upgrade.socket);
  // A client may take its time with the body.
  const requestBody = new RequestBody(from, backend, head.bodyBytes, () => late.refresh());
  try {
    const reply = await unlessAborted(replied, attempt.signal);
    // Both may have happened in one turn.
    attempt.signal.throwIfAborted();
    return { reply, requestBody };
  } catch (error) {
    requestBody.stop();
    if (attempt.signal.aborted) throw attempt.signal.reason;
    throw failed(doing, error);
  } finally {
    clearTimeout(late);
  }
}

function bodyOf(reply: ReplyHead, method: string): ReplyBody {
  try {
    return replyBody(reply, method);
  } catch (error) {
    throw failed('invalid upgrade response', error);
  }
}

function failed(what: string, cause: unknown): StatusError {
  return new StatusError(500, '', `${what}: ${printable(messageOf(cause), MAX_MESSAGE_LENGTH)}`, { cause });
}
