import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { statusAnswer } from '../status-answer.js';
import type { StatusError } from '../status-error.js';
import { leave } from './leave.js';

/**
 * Answers an upgrade request with a Status as kube-apiserver writes it, and ends the connection: without a reset before the client has read it,
 * and without heed of what it still sends. Does nothing when the client has gone.
 */
export function sendStatusOnSocket(socket: Duplex, error: StatusError): void {
  socket.on('error', () => undefined);
  if (socket.destroyed || socket.writableEnded) return;
  const { fields, body } = statusAnswer(error);
  const head = [
    `HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? ''}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
  ];
  socket.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
  leave(socket);
}
