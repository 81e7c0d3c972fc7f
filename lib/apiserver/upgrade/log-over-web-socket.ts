import type { Readable } from 'node:stream';
import type { WebSocket } from 'ws';
import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import type { UpgradeExchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { acceptWebSocket } from './accept-web-socket.js';
import { ClientGoneError } from './attempt.js';
import { isUpgrade, membersOf, upgradeRequired } from './is-upgrade.js';
import { prepare } from './prepare.js';

/** What a log is told in (apiserver, pkg/util/wsstream/stream.go). */
const BINARY = 'binary.k8s.io';
const BASE64 = 'base64.binary.k8s.io';

/** What a client says is thrown away; more than this in one message is no control frame and no mistake. */
const MAX_MESSAGE_BYTES = 64 * 1024;

/** A reason for closing has to fit into a control frame (RFC 6455 §5.5). */
const MAX_REASON_BYTES = 123;

/** How long a client may take to answer a close frame. */
const CLOSE_MS = 5000;

const NORMAL = 1000;
const INTERNAL_ERROR = 1011;

/** Whether an upgrade request asks for a WebSocket. */
function isWebSocket({ headers }: UpgradeExchange['request']): boolean {
  return isUpgrade({ headers }) && membersOf(headers.upgrade ?? '').some(isNamedWebSocket);
}

const isNamedWebSocket = (protocol: string): boolean => protocol.toLowerCase() === 'websocket';

/**
 * Sends a log to a client that asks for it by WebSocket, as kube-apiserver does itself: one empty message at first, then binary messages with
 * `binary.k8s.io` or no subprotocol, text messages of base64 with `base64.binary.k8s.io`. At the end of the log it closes with 1000; a log that
 * fails it closes with 1011. Reads the log no faster than the client takes it, and destroys it when the client goes.
 *
 * Resolves when the client has gone or been told the end. Needs the package `ws`.
 *
 * @throws {@link StatusError} 400 for what is no WebSocket, 403 for subprotocols of which none is known, before anything was answered; the log
 *   is destroyed then
 */
export async function serveLogOverWebSocket(upgrade: UpgradeExchange, log: Readable): Promise<void> {
  log.on('error', () => undefined); // the loop that reads it is told
  prepare(upgrade);
  try {
    const subprotocol = chosenOf(upgrade);
    const ws = await acceptWebSocket(upgrade, { subprotocol, maxMessageBytes: MAX_MESSAGE_BYTES });
    const gone = new Promise<void>((resolve) => ws.once('close', () => resolve()));
    ws.on('error', () => ws.terminate());
    ws.once('close', () => log.destroy());
    await copy(log, ws, subprotocol === BASE64);
    const limit = setTimeout(() => ws.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(limit);
  } catch (error) {
    if (!(error instanceof ClientGoneError)) throw error;
  } finally {
    log.destroy();
  }
}

/** @throws {@link StatusError} */
function chosenOf({ request }: UpgradeExchange): string | undefined {
  if (!isWebSocket(request) || request.method !== 'GET') throw upgradeRequired();
  const offered = membersOf(request.headers['sec-websocket-protocol'] ?? '');
  if (offered.length === 0) return undefined;
  const chosen = offered.find((name) => name === BINARY || name === BASE64);
  if (chosen !== undefined) return chosen;
  // Not what was offered: a bearer token may be among it.
  const problem = `requested protocol(s) are not supported: a log is sent as ${BINARY} or ${BASE64}`;
  throw new StatusError(403, 'Forbidden', problem);
}

async function copy(log: Readable, ws: WebSocket, isText: boolean): Promise<void> {
  try {
    await send(ws, Buffer.alloc(0));
    for await (const chunk of log as AsyncIterable<Buffer>)
      await send(ws, isText ? chunk.toString('base64') : chunk);
    ws.close(NORMAL);
  } catch (error) {
    ws.close(INTERNAL_ERROR, reasonOf(error));
  }
}

const send = (ws: WebSocket, data: Buffer | string): Promise<void> =>
  new Promise((resolve, reject) => {
    ws.send(data, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });

function reasonOf(error: unknown): string {
  let reason = printable(messageOf(error), MAX_REASON_BYTES);
  while (Buffer.byteLength(reason) > MAX_REASON_BYTES) reason = reason.slice(0, -1);
  return reason;
}
