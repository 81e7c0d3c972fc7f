/** Control frames by their number (SPDY/3 draft, §2.6); others are skipped. */
export const CONTROL = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
} as const;

/** Why a stream is given up (SPDY/3 draft, §2.6.3). */
export const RESET = { PROTOCOL_ERROR: 1, REFUSED_STREAM: 3, CANCEL: 5, STREAM_ALREADY_CLOSED: 9 } as const;

/** Why a session is (SPDY/3 draft, §2.6.6). */
export const GONE = { OK: 0, PROTOCOL_ERROR: 1 } as const;

/** The sender says no more on the stream. */
export const FIN = 1;
/** The receiver says nothing on the stream. */
export const UNIDIRECTIONAL = 2;

export const VERSION = 3;
/** Every frame begins with this many bytes. */
export const HEAD_BYTES = 8;
const CONTROL_BIT = 0x8000;

/** The head of a data frame; the data follows. */
export function dataHead(stream: number, length: number, fin: boolean): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(stream);
  head.writeUInt32BE(length, 4);
  head.writeUInt8(fin ? FIN : 0, 4);
  return head;
}

export function synStream(stream: number, headerBlock: Buffer): Buffer {
  const rest = Buffer.alloc(10);
  rest.writeUInt32BE(stream);
  return control(CONTROL.SYN_STREAM, Buffer.concat([rest, headerBlock]));
}

export const synReply = (stream: number, headerBlock: Buffer): Buffer =>
  control(CONTROL.SYN_REPLY, Buffer.concat([numbers(stream), headerBlock]));

export const rstStream = (stream: number, status: number): Buffer =>
  control(CONTROL.RST_STREAM, numbers(stream, status));

export const ping = (id: number): Buffer => control(CONTROL.PING, numbers(id));

export const goAway = (lastStream: number, status: number): Buffer =>
  control(CONTROL.GOAWAY, numbers(lastStream, status));

function control(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt16BE(CONTROL_BIT | VERSION);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}
