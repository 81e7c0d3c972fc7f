import { channel } from 'node:diagnostics_channel';
import type { Dialer } from './dialer.js';
import type { TunnelError } from './errors.js';

/** A dial, in every message of its life. */
export interface DialMessage {
  /** The dialer that was asked. Tells several in one process apart. */
  readonly dialer: Dialer;
  /** Number of the dial, unique in the process. */
  readonly id: number;
  /** The endpoint as the caller has it. */
  readonly host: string;
  readonly port: number;
}

/** A dial that has opened its stream. */
export interface DialEndMessage extends DialMessage {
  /** Name of the node that carries the stream. */
  readonly node: string;
  /** How long the dial took, in milliseconds. */
  readonly durationMs: number;
}

/** A dial that has failed. */
export interface DialErrorMessage extends DialMessage {
  /** What the dial rejects with: an error of this library, or the reason of the caller's signal. */
  readonly error: unknown;
  /** How long the dial took, in milliseconds. */
  readonly durationMs: number;
}

/** A connection to a node, in every message of its life. */
export interface ConnectionMessage {
  /** The dialer whose connection it is. Tells several in one process apart. */
  readonly dialer: Dialer;
  /** Number of the connection, unique in the process. */
  readonly id: number;
  /** Name of the node. */
  readonly node: string;
  /** Where its sshd is. */
  readonly address: string;
  readonly port: number;
  /** Name of the node that carries the connection, if one does. */
  readonly via?: string;
}

/** A connection that has become ready. */
export interface ConnectionReadyMessage extends ConnectionMessage {
  /** How long TCP, handshake and login took, in milliseconds. */
  readonly durationMs: number;
  /** Whether it is the first to be ready again after the node lost a connection, or an attempt to make one failed. */
  readonly isReconnect: boolean;
}

/** An attempt to connect that has failed. */
export interface ConnectionFailedMessage extends ConnectionMessage {
  readonly error: TunnelError;
  /** How long the attempt took, in milliseconds. */
  readonly durationMs: number;
}

/** A connection that was closed on purpose, whether it had become ready or not. */
export interface ConnectionClosedMessage extends ConnectionMessage {
  /** How long it was ready, in milliseconds; 0 if it never was. */
  readonly durationMs: number;
  /** What TCP has carried: SSH and its handshake included. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** A connection that was ready and is lost. */
export interface ConnectionLostMessage extends ConnectionClosedMessage {
  readonly error: TunnelError;
}

/**
 * The channels of `node:diagnostics_channel` that the library publishes on, and the messages of each. Nothing is published, and no
 * message made, unless somebody listens; a dial that began before is not reported.
 *
 * A dial's `start` is followed by its `end` or its `error`. A connection's `connecting` comes when its handshake may begin, and is
 * followed by `ready`, `failed` or `closed`; `ready` is followed by `lost` or `closed`.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 *
 * subscribe('tunnel-dialer:connection:lost', (message) => {
 *   const { node, error } = message as DiagnosticsMessages['tunnel-dialer:connection:lost'];
 *   console.log(node, error.code);
 * });
 * ```
 */
export interface DiagnosticsMessages {
  'tunnel-dialer:dial:start': DialMessage;
  'tunnel-dialer:dial:end': DialEndMessage;
  'tunnel-dialer:dial:error': DialErrorMessage;
  'tunnel-dialer:connection:connecting': ConnectionMessage;
  'tunnel-dialer:connection:ready': ConnectionReadyMessage;
  'tunnel-dialer:connection:failed': ConnectionFailedMessage;
  'tunnel-dialer:connection:lost': ConnectionLostMessage;
  'tunnel-dialer:connection:closed': ConnectionClosedMessage;
}

/** A channel of `node:diagnostics_channel` that knows its messages. */
export interface DiagnosticsEvent<Message> {
  readonly hasSubscribers: boolean;
  /** A subscriber that throws does so to the process, as uncaught, never to the publisher. */
  publish(message: Message): void;
}

const event = <Name extends keyof DiagnosticsMessages>(
  name: Name,
): DiagnosticsEvent<DiagnosticsMessages[Name]> => channel(name);

// Held here, because Node forgets a channel that nobody holds.
export const dialStart = event('tunnel-dialer:dial:start');
export const dialEnd = event('tunnel-dialer:dial:end');
export const dialError = event('tunnel-dialer:dial:error');
export const connectionConnecting = event('tunnel-dialer:connection:connecting');
export const connectionReady = event('tunnel-dialer:connection:ready');
export const connectionFailed = event('tunnel-dialer:connection:failed');
export const connectionLost = event('tunnel-dialer:connection:lost');
export const connectionClosed = event('tunnel-dialer:connection:closed');
