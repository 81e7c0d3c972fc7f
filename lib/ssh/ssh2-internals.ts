import type { Client, ClientChannel } from 'ssh2';

/*
 * The parts of ssh2 1.17 below its public API that this library relies on, all of them named here and guarded by
 * test/ssh/ssh2-internals.test.ts. A raw channel loses errors, write callbacks and its own end (mscdex/ssh2#1508, #1505, #1483), so
 * lib/ssh/channel.ts takes the place of the channel's stream machinery and keeps only its packet handling.
 */

/** One direction of a channel (RFC 4254 §5). */
interface ChannelHalf {
  window: number;
  state: 'open' | 'eof' | 'closing' | 'closed';
}

/** ssh2's Channel as lib/ssh/channel.ts uses it. */
export interface RawChannel {
  readonly incoming: ChannelHalf;
  readonly outgoing: ChannelHalf & { readonly packetSize: number };
  readonly stderr: { push(chunk: Buffer | null): boolean };
  /** Called by ssh2 for each data packet, and with `null` for EOF (`incoming.state` is `eof`) and for CLOSE (`closed`). */
  push(chunk: Buffer | null): boolean;
  /** Lets the peer's window grow again after `push` has returned false. */
  _read(): void;
  /** Sends data as far as the peer's window allows; calls back when all of it is sent, or never when the channel is gone. */
  _write(chunk: Uint8Array, encoding: 'buffer', callback: () => void): void;
  /** Sends SSH_MSG_CHANNEL_EOF, once. */
  eof(): void;
  /** Sends SSH_MSG_CHANNEL_CLOSE, once. */
  close(): void;
}

interface Protocol {
  readonly _kexinit?: unknown;
  readonly _handlers: {
    CHANNEL_OPEN: (protocol: Protocol, info: unknown) => void;
    GLOBAL_REQUEST: (protocol: Protocol, name: string, wantsReply: boolean, data: unknown) => void;
  };
  /** Sends SSH_MSG_REQUEST_FAILURE. */
  requestFailure(): void;
}

interface ClientInternals {
  readonly _remoteVer?: string;
  readonly _protocol?: Protocol;
}

/** The channel's inner side. */
export const rawChannel = (channel: ClientChannel): RawChannel => channel as unknown as RawChannel;

/** Software version of the peer's identification (RFC 4253 §4.2), such as `OpenSSH_9.2p1`. */
export const remoteSoftware = (client: Client): string =>
  (client as unknown as ClientInternals)._remoteVer ?? '';

/** Whether a key exchange is under way; ssh2 then queues without bound what is written to channels. */
export const isExchangingKeys = (client: Client): boolean =>
  (client as unknown as ClientInternals)._protocol?._kexinit !== undefined;

/** What the peer asks of us, apart from answers. */
export interface PeerRequests {
  /** A global request (RFC 4254 §4), such as sshd's keepalive or `hostkeys-00@openssh.com`. */
  readonly onGlobalRequest: () => void;
  /** A channel of its own, which we have never asked for. */
  readonly onChannelOpen: () => void;
}

/**
 * Takes the peer's requests over from ssh2, which would prove every host key that a node announces, as often as it does so, and keep the
 * proofs that are not answered. To be called after `connect`.
 */
export function answerRequests(client: Client, { onGlobalRequest, onChannelOpen }: PeerRequests): void {
  const handlers = (client as unknown as ClientInternals)._protocol?._handlers;
  if (handlers === undefined)
    throw new TypeError('ssh2 has no handlers for requests where they are expected');
  handlers.GLOBAL_REQUEST = (protocol, _name, wantsReply) => {
    onGlobalRequest();
    if (wantsReply) protocol.requestFailure();
  };
  handlers.CHANNEL_OPEN = onChannelOpen;
}
