import type { Client } from 'ssh2';
import { DataPackets, type PacketCipher } from './data-packets.js';
import { ownCopy } from './own-copy.js';
import { poolPadding } from './packet-padding.js';

/*
 * The parts of ssh2 1.17 below its public API that this library relies on, all of them named here and guarded by
 * test/ssh/ssh2-internals.test.ts. ssh2 does the transport and the login; the channels are ours (lib/ssh/channel-table.ts), because its
 * own lose errors, write callbacks and their own end, and drop data (mscdex/ssh2#1508, #1505, #1483).
 */

/**
 * Sends the messages of channels (RFC 4254 §5). ssh2 queues them while keys are exchanged. Not to be used when the connection is over:
 * ssh2 has freed its cipher then.
 */
export interface ChannelMessages {
  directTcpip(
    channel: number,
    windowBytes: number,
    packetBytes: number,
    ends: { srcIP: string; srcPort: number; dstIP: string; dstPort: number },
  ): void;
  channelData(recipient: number, data: Uint8Array): void;
  channelWindowAdjust(recipient: number, bytes: number): void;
  channelEOF(recipient: number): void;
  channelClose(recipient: number): void;
  /** Answers a request that we do not grant. */
  channelFailure(recipient: number): void;
}

/** The answer to a direct-tcpip that was granted (RFC 4254 §5.1). */
export interface OpenConfirmation {
  /** Our number for the channel. */
  readonly recipient: number;
  /** The peer's number for it. */
  readonly sender: number;
  /** Bytes that we may send. */
  readonly window: number;
  /** Largest packet of data that we may send. */
  readonly packetSize: number;
}

/** Receives the messages of channels; `recipient` is our number for the channel. */
export interface ChannelHandlers {
  CHANNEL_OPEN_CONFIRMATION(protocol: unknown, info: OpenConfirmation): void;
  CHANNEL_OPEN_FAILURE(protocol: unknown, recipient: number, reason: number, description: string): void;
  CHANNEL_WINDOW_ADJUST(protocol: unknown, recipient: number, bytes: number): void;
  CHANNEL_DATA(protocol: unknown, recipient: number, data: Buffer): void;
  CHANNEL_EXTENDED_DATA(protocol: unknown, recipient: number): void;
  CHANNEL_EOF(protocol: unknown, recipient: number): void;
  CHANNEL_CLOSE(protocol: unknown, recipient: number): void;
  CHANNEL_REQUEST(protocol: unknown, recipient: number, type: string, wantsReply: boolean): void;
}

interface Protocol extends ChannelMessages {
  readonly _kexinit?: unknown;
  /** The key exchange that is over or under way. */
  readonly _kex?: { _keys?: unknown };
  readonly _decipher?: { _tag?: Buffer };
  /** Another one after each key exchange. */
  readonly _cipher: PacketCipher;
  /** The identifications of both sides, without the end of the line. */
  _identRaw: Buffer;
  _remoteIdentRaw?: Buffer;
  /** Sends ours. */
  start?: () => void;
  _onWrite(data: Buffer): void;
  /** What is offered in every key exchange; never changed. */
  _offer: { readonly lists: { readonly all: Buffer } };
  _handlers: Partial<ChannelHandlers> & {
    CHANNEL_OPEN: (protocol: Protocol, info: unknown) => void;
    GLOBAL_REQUEST: (protocol: Protocol, name: string, wantsReply: boolean, data: unknown) => void;
    readonly DISCONNECT: unknown;
    readonly REQUEST_SUCCESS: unknown;
    readonly REQUEST_FAILURE: unknown;
  };
  /** Sends SSH_MSG_REQUEST_FAILURE. */
  requestFailure(): void;
}

interface ClientInternals {
  readonly _remoteVer?: string;
  readonly _protocol?: Protocol;
}

const protocolOf = (client: Client): Protocol | undefined => (client as unknown as ClientInternals)._protocol;

function connectedProtocolOf(client: Client): Protocol {
  const protocol = protocolOf(client);
  if (protocol === undefined) throw new TypeError('ssh2 has no protocol where it is expected');
  return protocol;
}

/** Software version of the peer's identification (RFC 4253 §4.2), such as `OpenSSH_9.2p1`. */
export const remoteSoftware = (client: Client): string =>
  (client as unknown as ClientInternals)._remoteVer ?? '';

/** Whether a key exchange is under way; ssh2 then queues without bound what is written to channels. */
export const isExchangingKeys = (client: Client): boolean => protocolOf(client)?._kexinit !== undefined;

/** What has been offered, by its text (RFC 4253 §7.1). */
const offers = new Map<string, Protocol['_offer']>();

/** Has connections that offer the same algorithms share the lists, which ssh2 makes for each. To be called after `connect`. */
export function shareOffer(client: Client): void {
  const protocol = connectedProtocolOf(client);
  const text = protocol._offer.lists.all.toString('latin1');
  const shared = offers.get(text);
  if (shared === undefined) offers.set(text, protocol._offer);
  else protocol._offer = shared;
}

/** Identifies us with `SSH-2.0-` and a name. To be called right after `connect`. */
export function identifier(name: string): (client: Client) => void {
  const ident = Buffer.from(`SSH-2.0-${name}`);
  const line = Buffer.from(`SSH-2.0-${name}\r\n`);
  return (client) => {
    const protocol = connectedProtocolOf(client);
    protocol._identRaw = ident;
    protocol.start = () => protocol._onWrite(line);
  };
}

/**
 * Has ssh2 keep less between key exchanges: no key pair that has been used, and no large buffer for the sake of a few bytes. To be called
 * after `connect`.
 */
export function keepLess(client: Client): void {
  const protocol = connectedProtocolOf(client);
  client.on('handshake', () => {
    const { _kex: exchange, _decipher: decipher, _remoteIdentRaw: remoteIdent } = protocol;
    if (exchange !== undefined) exchange._keys = undefined;
    if (decipher?._tag !== undefined) decipher._tag = ownCopy(decipher._tag);
    if (remoteIdent !== undefined) protocol._remoteIdentRaw = ownCopy(remoteIdent);
  });
}

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
  const { _handlers: handlers } = connectedProtocolOf(client);
  handlers.GLOBAL_REQUEST = (protocol, _name, wantsReply) => {
    onGlobalRequest();
    if (wantsReply) protocol.requestFailure();
  };
  handlers.CHANNEL_OPEN = onChannelOpen;
}

/**
 * Takes the channels of a connection over from ssh2. To be called after the login, before there are any: messages that belong to a login
 * are ignored from then on.
 */
export function takeOverChannels(client: Client, handlers: ChannelHandlers): ChannelMessages {
  const protocol = connectedProtocolOf(client);
  const { DISCONNECT, REQUEST_SUCCESS, REQUEST_FAILURE, GLOBAL_REQUEST, CHANNEL_OPEN } = protocol._handlers;
  const kept = { DISCONNECT, REQUEST_SUCCESS, REQUEST_FAILURE, GLOBAL_REQUEST, CHANNEL_OPEN };
  protocol._handlers = { ...kept, ...handlers };
  poolPadding(protocol._cipher);
  client.on('handshake', () => poolPadding(protocol._cipher));
  const packets = new DataPackets();
  const channelData = protocol.channelData.bind(protocol);
  protocol.channelData = (recipient, data) => {
    const isQueued = protocol._kexinit !== undefined;
    if (isQueued || !packets.takes(data)) channelData(recipient, data);
    else packets.send(protocol._cipher, recipient, data);
  };
  return protocol;
}
