import { WINDOW_BYTES, type Channel, type ChannelOwner, type ChannelPeer } from './channel.js';
import type { ChannelHandlers } from './ssh2-internals.js';

/** Largest packet of data that a peer may send us: sshd's own limit (channels.h, `CHAN_TCP_PACKET_DEFAULT`). */
const PACKET_BYTES = 32 * 1024;

/** Smallest packet that a peer may ask for. RFC 4254 §5.1 names none; with a few bytes each we would drown in packets. */
const MIN_PACKET_BYTES = 1024;

/** Numbers of channels are 32 bits (RFC 4254 §5.1). */
const IDS = 2 ** 32;

/** A channel that the peer has been asked for. */
export interface Opening {
  /** The peer has opened it. */
  confirmed(peer: ChannelPeer): Channel;
  /** The peer has not; without a reason when it answered with CLOSE. */
  refused(description: string, reason?: number): void;
  /** The connection is gone. */
  lost(): void;
}

/** The channels of one connection by our numbers for them: hands each what arrives for it. What arrives for others is ignored. */
export class ChannelTable {
  readonly #openings = new Map<number, Opening>();
  readonly #channels = new Map<number, Channel>();
  #nextId = 0;

  /** Asks the peer for a channel to an endpoint (RFC 4254 §7.2). */
  open(host: string, port: number, opening: Opening, { messages }: ChannelOwner): void {
    const id = this.#unusedId();
    this.#openings.set(id, opening);
    const ends = { srcIP: '127.0.0.1', srcPort: 0, dstIP: host, dstPort: port };
    messages.directTcpip(id, WINDOW_BYTES, PACKET_BYTES, ends);
  }

  /** The connection is gone, and with it all of them. */
  loseAll(): void {
    const all = [...this.#openings.values(), ...this.#channels.values()];
    this.#openings.clear();
    this.#channels.clear();
    for (const each of all) each.lost();
  }

  /** What ssh2 is to call with messages of the peer. */
  handlers(violated: ChannelOwner['violated']): ChannelHandlers {
    return {
      CHANNEL_OPEN_CONFIRMATION: (_, { recipient, sender, window, packetSize }) => {
        const opening = this.#openings.get(recipient);
        if (opening === undefined) return;
        if (packetSize < MIN_PACKET_BYTES) {
          violated('takes no packets of a useful size');
          return;
        }
        this.#openings.delete(recipient);
        const channel = opening.confirmed({ id: sender, windowBytes: window, packetBytes: packetSize });
        this.#channels.set(recipient, channel);
      },
      CHANNEL_OPEN_FAILURE: (_, recipient, reason, description) => {
        this.#settle(recipient)?.refused(description, reason);
      },
      CHANNEL_WINDOW_ADJUST: (_, recipient, bytes) => this.#channels.get(recipient)?.receivedRoom(bytes),
      CHANNEL_DATA: (_, recipient, data) => this.#channels.get(recipient)?.received(data),
      // Only sessions have extended data (RFC 4254 §5.2).
      CHANNEL_EXTENDED_DATA: (_, recipient) => {
        if (this.#channels.has(recipient)) violated('sent extended data on a forwarded channel');
      },
      CHANNEL_EOF: (_, recipient) => this.#channels.get(recipient)?.receivedEnd(),
      CHANNEL_CLOSE: (_, recipient) => {
        const channel = this.#channels.get(recipient);
        this.#channels.delete(recipient);
        channel?.receivedClose();
        this.#settle(recipient)?.refused('it was closed before it was open');
      },
      CHANNEL_REQUEST: (_, recipient, _type, wantsReply) => {
        if (wantsReply) this.#channels.get(recipient)?.receivedRequest();
      },
    };
  }

  #settle(id: number): Opening | undefined {
    const opening = this.#openings.get(id);
    this.#openings.delete(id);
    return opening;
  }

  #unusedId(): number {
    while (this.#openings.has(this.#nextId) || this.#channels.has(this.#nextId)) {
      this.#nextId = (this.#nextId + 1) % IDS;
    }
    const id = this.#nextId;
    this.#nextId = (id + 1) % IDS;
    return id;
  }
}
