import type { Client } from 'ssh2';
import { TransportError, type TunnelError } from '../errors.js';
import type { ChannelRoster } from './channel-roster.js';
import { rawChannel, type RawChannel } from './ssh2-internals.js';
import type { ChannelSocket } from './channel-socket.js';

/** One dial on a connection. */
export interface OpenRequest {
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  /** Called exactly once, when the channel's place may be given to the next. */
  readonly onFree: () => void;
}

/** What an opening needs from its connection. */
export interface OpeningOwner {
  readonly client: Client;
  readonly channels: ChannelRoster;
  /** Puts a stream on a confirmed channel; `free` is called when the node is done with it. */
  readonly createSocket: (raw: RawChannel, free: () => void) => ChannelSocket;
  /** Says why the node did not open the channel, in ssh2's words, or lost it, without any. */
  readonly failure: (error?: unknown) => TunnelError;
}

/**
 * Opens a channel (RFC 4254 §7.2). Aborting the signal gives it up: a channel confirmed after that is closed, and until then the node's
 * answer is waited for beside the channels in use.
 *
 * @throws the signal's reason, or what `owner.failure` makes of ssh2's error
 */
export async function openChannel(
  request: OpenRequest,
  owner: OpeningOwner,
  signal: AbortSignal,
): Promise<ChannelSocket> {
  const socket = await confirmed(request, owner, signal);
  // The node may have cut the stream in the very packets that confirmed it, before the caller could listen for errors. From here on
  // only microtasks lie between the socket and its caller, and nothing is emitted between them.
  const { errored } = socket;
  if (errored !== null) throw errored instanceof TransportError ? owner.failure() : errored;
  socket.off('error', ignore);
  return socket;
}

function confirmed(
  { host, port, onFree }: OpenRequest,
  { client, channels, createSocket, failure }: OpeningOwner,
  signal: AbortSignal,
): Promise<ChannelSocket> {
  return new Promise((resolve, reject) => {
    const opened = channels.beginOpening();
    let nodeIsDone: (() => void) | undefined;
    const onAbort = (): void => {
      nodeIsDone = channels.linger(onFree);
      opened();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = (error: unknown, raw: RawChannel | undefined): void => {
      signal.removeEventListener('abort', onAbort);
      const isWanted = nodeIsDone === undefined;
      const free = nodeIsDone ?? onFree;
      const socket = raw === undefined ? undefined : createSocket(raw, free);
      socket?.on('error', ignore);
      if (socket === undefined) free();
      if (isWanted) opened();
      if (!isWanted) socket?.destroy();
      else if (socket !== undefined) resolve(socket);
      else reject(failure(error));
    };
    try {
      client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        settle(error, error === undefined ? rawChannel(channel) : undefined);
      });
    } catch (error) {
      settle(error, undefined);
    }
  });
}

const ignore = (): void => undefined;
