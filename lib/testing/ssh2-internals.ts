import type { Connection, ServerChannel } from 'ssh2';
import type { RawChannel } from './hostile.js';

/*
 * What the node needs of ssh2 1.17 below its public API, all of it here. ssh2's server cannot say why it refuses a channel, cannot word
 * a disconnect, and keeps to the rules of flow control, which a hostile server does not.
 */

interface Protocol {
  channelOpenFail?: (recipient: number, reason: number, description: string) => void;
  channelData(recipient: number, data: Buffer): void;
  channelWindowAdjust(recipient: number, bytes: number): void;
  readonly _packetRW: { readonly write: PacketWriter };
  readonly _cipher: { encrypt(packet: Buffer): void };
}

interface PacketWriter {
  readonly allocStartKEX: number;
  alloc(payloadLength: number, duringKeyExchange: true): Buffer;
  finalize(packet: Buffer, duringKeyExchange: true): Buffer;
}

interface ChannelHalves {
  readonly incoming: { window: number };
  readonly outgoing: { readonly id: number; readonly window: number; state: string };
}

const protocolOf = (connection: Connection): Protocol =>
  (connection as unknown as { readonly _protocol: Protocol })._protocol;

const halvesOf = (channel: ServerChannel): ChannelHalves => channel as unknown as ChannelHalves;

/** Refuses a channel open with a reason and a text of our own (RFC 4254 §5.1); `reject()` alone says 2 and nothing. */
export function refuseOpen(
  connection: Connection,
  reject: () => void,
  reason: number,
  description: string,
): void {
  const protocol = protocolOf(connection);
  const send = protocol.channelOpenFail?.bind(protocol);
  protocol.channelOpenFail = (recipient) => send?.(recipient, reason, description);
  try {
    reject();
  } finally {
    delete protocol.channelOpenFail;
  }
}

/** Sends SSH_MSG_DISCONNECT (RFC 4253 §11.1) with a text; it may be sent in the midst of a key exchange. */
export function sendDisconnect(connection: Connection, reason: number, description: string): void {
  const { _packetRW, _cipher } = protocolOf(connection);
  const text = Buffer.from(description);
  const payload = Buffer.alloc(1 + 4 + 4 + text.length + 4);
  payload.writeUInt8(1);
  payload.writeUInt32BE(reason, 1);
  payload.writeUInt32BE(text.length, 5);
  text.copy(payload, 9);
  const packet = _packetRW.write.alloc(payload.length, true);
  packet.set(payload, _packetRW.write.allocStartKEX);
  _cipher.encrypt(_packetRW.write.finalize(packet, true));
}

/** Whether data can still be sent on a channel: neither EOF nor CLOSE was. */
export const isSendable = (channel: ServerChannel): boolean => halvesOf(channel).outgoing.state === 'open';

/** Sends CHANNEL_CLOSE, once, and no WINDOW_ADJUST after it, as ssh2 does when unread data is read late (mscdex/ssh2#1483). */
export function closeChannel(channel: ServerChannel): void {
  halvesOf(channel).incoming.window = Number.MAX_SAFE_INTEGER;
  channel.close();
}

/** A channel without ssh2's rules of flow control. */
export function rawChannel(connection: Connection, channel: ServerChannel): RawChannel {
  const { outgoing } = halvesOf(channel);
  const protocol = protocolOf(connection);
  return {
    window: outgoing.window,
    sendData: (data) => protocol.channelData(outgoing.id, data),
    adjustWindow: (bytes) => protocol.channelWindowAdjust(outgoing.id, bytes),
    close: () => closeChannel(channel),
  };
}
