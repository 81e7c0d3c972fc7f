import type { Socket } from 'node:net';
import type { ServerChannel } from 'ssh2';
import { closeChannel, isSendable } from './ssh2-internals.js';

/** Who is told how a spliced channel ends. */
export interface SpliceEnds {
  /** The channel is closed on both sides; what it still had for the endpoint is on its way. */
  closed(): void;
  /** ssh2 threw, which means that its connection is beyond use. */
  broken(error: unknown): void;
}

/**
 * Carries bytes between a channel and its endpoint, both ways, with half-close and back-pressure, and ends them as OpenSSH does
 * (nchan.c): EOF for the endpoint's FIN and RST alike, CLOSE only when both directions are done.
 *
 * `channel.end()` is never called: ssh2's server sends CLOSE with it (Channel.js `onFinish`), which would cut off the client.
 */
export function splice(channel: ServerChannel, endpoint: Socket, ends: SpliceEnds): void {
  /** Writes that the client's window has not yet let through. */
  let unsent = 0;
  let endpointDone = false;
  let clientDone = false;

  const guard = (act: () => void) => {
    try {
      act();
    } catch (error) {
      ends.broken(error);
    }
  };
  const settle = () => {
    guard(() => {
      if (!endpointDone || unsent > 0) return;
      channel.eof();
      if (clientDone) closeChannel(channel);
    });
  };
  const sent = () => {
    unsent -= 1;
    settle();
  };

  endpoint.on('data', (chunk) => {
    guard(() => {
      if (!isSendable(channel)) return;
      unsent += 1;
      if (!channel.write(chunk, sent)) endpoint.pause();
    });
  });
  channel.on('drain', () => endpoint.resume());
  endpoint.once('end', () => {
    endpointDone = true;
    settle();
  });

  channel.on('data', (chunk: Buffer) => {
    if (endpoint.writable) {
      if (!endpoint.write(chunk)) channel.pause();
    } else {
      clientDone = true;
      settle();
    }
  });
  endpoint.on('drain', () => channel.resume());
  channel.once('end', () => {
    if (endpoint.writable) {
      endpoint.end();
    } else {
      clientDone = true;
      settle();
    }
  });
  endpoint.once('finish', () => {
    clientDone = true;
    settle();
  });

  endpoint.on('error', (error: NodeJS.ErrnoException) => {
    // A failed read is an end of input; only a failed write says that the client's data has nowhere to go.
    if (error.syscall === 'write') clientDone = true;
  });
  endpoint.once('close', () => {
    endpointDone = true;
    settle();
    // What the client still sends is discarded; left unread it would keep the channel from closing.
    channel.resume();
  });

  channel.on('error', () => undefined);
  channel.once('close', () => {
    endpoint.destroySoon();
    ends.closed();
  });
}
