import type { ClientRequest, IncomingMessage } from 'node:http';
import https from 'node:https';
import { TLSSocket } from 'node:tls';
import { messageOf } from '../errors.js';
import { unlessAborted } from '../unless-aborted.js';
import { KubeletAnswerError } from './errors.js';
import type { KubeletAccess } from './kubelet-access.js';
import { refusalIn } from './refusal.js';
import { within } from './within.js';

interface AskOptions {
  readonly signal: AbortSignal;
  /** Called when the request has a connection that is up and verified. */
  readonly onConnect?: (() => void) | undefined;
}

/** More than any kubelet has to tell in metrics. */
export const MAX_TEXT_LENGTH = 64 * 2 ** 20;

/**
 * More than any kubelet has to tell of its pods: a Pod takes some 20 KB, and a node seldom has more than 500. `JSON.parse` lets nothing
 * else run: what means harm, 16 MiB of nothing but `{},` or of objects with a key of its own each, takes it two seconds and more, on a busy
 * machine longer.
 */
export const MAX_JSON_LENGTH = 16 * 2 ** 20;

/** As many kept connections may turn out to be dead before one request; a new one is not tried again. */
const MAX_DEAD = 16;

/**
 * Asks a kubelet for something, and resolves with its answer when that has begun, with status 200. A kept connection that turns out to be dead is replaced, because a GET may be repeated (RFC 9110 §9.2.2).
 *
 * @throws {@link KubeletError} if the status is not 200; the signal's reason; an error of the tunnel, of TLS or of the network
 */
export async function ask(
  access: KubeletAccess,
  path: string,
  options: AskOptions,
): Promise<IncomingMessage> {
  for (let dead = 0; ; dead += 1) {
    const headers = await headersOf(access, options.signal);
    const { agent, host, port } = access;
    const request = https.request({ agent, host, port, path, headers });
    try {
      return await answerTo(request, access, options);
    } catch (error) {
      if (!isDead(request, error) || dead === MAX_DEAD) throw error;
    }
  }
}

/** A text, read to its end within the time that a kubelet has. */
export function askForText(
  access: KubeletAccess,
  path: string,
  maxLength: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const limits = { timeoutMs: access.timeoutMs, signal, what: `answer ${path}` };
  return within(access, limits, async (given) => {
    const response = await ask(access, path, { signal: given });
    return textOf(response, access, given, maxLength);
  });
}

/** A log has no deadline; whoever tells the token has one all the same. */
function headersOf(access: KubeletAccess, signal: AbortSignal): Promise<Record<string, string>> {
  const limits = { timeoutMs: access.timeoutMs, signal, who: 'token()', what: 'tell a token' };
  return within(access, limits, (given) => unlessAborted(access.headers(), given));
}

async function answerTo(
  request: ClientRequest,
  access: KubeletAccess,
  { signal, onConnect }: AskOptions,
): Promise<IncomingMessage> {
  // What happens later happens to the answer, too.
  request.on('error', () => undefined);
  const onAbort = (): void => void request.destroy(new Error('given up'));
  signal.addEventListener('abort', onAbort);
  request.once('close', () => signal.removeEventListener('abort', onAbort));
  if (onConnect !== undefined) whenConnected(request, onConnect);
  try {
    if (signal.aborted) onAbort();
    request.end();
    const response = await responseTo(request, access);
    if (response.statusCode === 200) return response;
    throw await refusalIn(response, access, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error;
  }
}

function responseTo(request: ClientRequest, { node, host, port }: KubeletAccess): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
    // An upgrade that nobody asked for is closed by Node, which tells nothing else of it.
    request.once('close', () => {
      const problem = `the kubelet of ${node} switched to another protocol in place of an answer: is it a kubelet?`;
      reject(new KubeletAnswerError(problem, { node, host, port }));
    });
  });
}

function whenConnected(request: ClientRequest, onConnect: () => void): void {
  request.once('socket', (socket) => {
    const isNew = socket instanceof TLSSocket && !request.reusedSocket;
    if (!isNew) onConnect();
    // One whose certificate is not the pinned one is destroyed by then.
    else socket.once('secureConnect', () => socket.destroyed || onConnect());
  });
}

function isDead(request: ClientRequest, error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
}

async function textOf(
  response: IncomingMessage,
  { node, host, port }: KubeletAccess,
  signal: AbortSignal,
  maxLength: number,
): Promise<string> {
  const parts: string[] = [];
  let length = 0;
  const wrong = (problem: string, cause?: unknown): KubeletAnswerError =>
    new KubeletAnswerError(`the answer of the kubelet of ${node} ${problem}`, { node, host, port, cause });
  try {
    for await (const part of response.setEncoding('utf8')) {
      length += (part as string).length;
      if (length > maxLength) throw wrong(`is longer than ${maxLength} characters`);
      parts.push(part as string);
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof KubeletAnswerError) throw error;
    throw wrong(`broke off: ${messageOf(error)}`, error);
  }
  return parts.join('');
}
