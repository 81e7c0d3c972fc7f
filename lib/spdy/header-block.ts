import { constants, inflateRawSync } from 'node:zlib';
import { HEADER_DICTIONARY, HEADER_DICTIONARY_ID } from './dictionary.js';
import { protocolError } from './errors.js';

/** Headers of a stream by their names, which are lower case; of several values of one name the first. */
export type SpdyHeaders = ReadonlyMap<string, string>;

/** All headers of a frame together, before and after compression; Kubernetes sends some dozens of bytes. */
export const MAX_HEADER_BYTES = 64 * 1024;
/** How far back deflated data may refer (RFC 1951 §2). */
const WINDOW_BYTES = 32 * 1024;
/** The longest block that is not compressed (RFC 1951 §3.2.4). */
const MAX_STORED_BYTES = 0xffff;
/** The head of a zlib stream without dictionary (RFC 1950 §2.2). */
const ZLIB_HEAD = Buffer.of(0x78, 0x01);
/** An empty stored block, which ends what is flushed (SPDY/3 draft, §2.6.10.1): Go's inflater gives nothing before it. */
const FLUSH = Buffer.of(0, 0, 0, 0xff, 0xff);

/**
 * Makes what stands for headers in the frames of one direction: a zlib stream through all of them. Its blocks are stored as they are,
 * which every inflater reads: headers are few and short here, and secrets in them cannot be guessed by their compressed length.
 */
export class HeaderWriter {
  #hasBegun = false;

  write(headers: SpdyHeaders): Buffer {
    const plain = encode(headers);
    const parts: Buffer[] = this.#hasBegun ? [] : [ZLIB_HEAD];
    this.#hasBegun = true;
    for (let at = 0; at < plain.length; at += MAX_STORED_BYTES) {
      const stored = plain.subarray(at, at + MAX_STORED_BYTES);
      const head = Buffer.alloc(5);
      head.writeUInt16LE(stored.length, 1);
      head.writeUInt16LE(~stored.length & 0xffff, 3);
      parts.push(head, stored);
    }
    return Buffer.concat([...parts, FLUSH]);
  }
}

/**
 * Reads the headers of the frames of one direction. Each ends with a flush to a whole byte (SPDY/3 draft, §2.6.10.1), and so is inflated
 * alone, with what came before as its dictionary: nothing to wait for, and nothing to free.
 */
export class HeaderReader {
  #before: Buffer | undefined;

  /** @throws {@link SpdyError} `ERR_SPDY_PROTOCOL` */
  read(bytes: Buffer): SpdyHeaders {
    const isFirst = this.#before === undefined;
    const { before, deflated } = isFirst ? begin(bytes) : { before: this.#before, deflated: bytes };
    const plain = inflate(deflated, before);
    this.#before = Buffer.concat([before ?? Buffer.alloc(0), plain]).subarray(-WINDOW_BYTES);
    return decode(plain);
  }
}

function begin(bytes: Buffer): { readonly before: Buffer; readonly deflated: Buffer } {
  const isZlib = bytes.length >= 2 && bytes.readUInt8(0) % 16 === 8 && bytes.readUInt16BE(0) % 31 === 0;
  if (!isZlib) throw protocolError('its headers are not compressed by zlib');
  const usesDictionary = (bytes.readUInt8(1) & 0x20) !== 0;
  if (!usesDictionary) return { before: Buffer.alloc(0), deflated: bytes.subarray(2) };
  if (bytes.length < 6 || bytes.readUInt32BE(2) !== HEADER_DICTIONARY_ID)
    throw protocolError('its headers are compressed by a dictionary that is not that of SPDY/3');
  return { before: HEADER_DICTIONARY, deflated: bytes.subarray(6) };
}

function inflate(bytes: Buffer, dictionary: Buffer | undefined): Buffer {
  try {
    return inflateRawSync(bytes, {
      ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_HEADER_BYTES,
    });
  } catch (cause) {
    throw protocolError(`its headers cannot be inflated, or to more than ${MAX_HEADER_BYTES} bytes`, cause);
  }
}

function encode(headers: SpdyHeaders): Buffer {
  const parts = [uint32(headers.size)];
  for (const each of headers) {
    for (const text of each) {
      const bytes = Buffer.from(text);
      parts.push(uint32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function decode(plain: Buffer): SpdyHeaders {
  let at = 0;
  const number = (): number => {
    if (plain.length - at < 4) throw protocolError('its headers end too early');
    at += 4;
    return plain.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (plain.length - at < length) throw protocolError('its headers end too early');
    at += length;
    return plain.toString('utf8', at - length, at);
  };
  const headers = new Map<string, string>();
  for (let left = number(); left > 0; left -= 1) {
    const name = text();
    const [value = ''] = text().split('\0', 1);
    if (name === '' || name !== name.toLowerCase() || headers.has(name))
      throw protocolError('a header has no name, one with capitals, or one that another has, too');
    headers.set(name, value);
  }
  if (at < plain.length) throw protocolError('something follows its headers');
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
