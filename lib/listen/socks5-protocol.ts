import { SocketAddress } from 'node:net';
import type { ByteReader } from './byte-reader.js';
import type { Failure } from './failure.js';
import type { Login } from './login.js';

const VERSION = 5;
const LOGIN_VERSION = 1;
const NO_LOGIN = 0;
const USERNAME_PASSWORD = 2;
const NO_ACCEPTABLE_METHOD = 0xff;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN_NAME = 3;
const IPV6 = 4;

/** The client is not to get a stream. */
export class Socks5Refusal extends Error {
  /** What it is told; `undefined` for one that does not speak SOCKS5. */
  readonly answer: Buffer | undefined;

  constructor(message: string, answer?: Buffer) {
    super(message);
    this.name = 'Socks5Refusal';
    this.answer = answer;
  }
}

/** What a reply may say, RFC 1928 §6. */
const SUCCEEDED = 0;
const COMMAND_NOT_SUPPORTED = 7;
const ADDRESS_TYPE_NOT_SUPPORTED = 8;

/** A reply without an address: which one the node connects from is not known. */
const reply = (code: number): Buffer => Buffer.from([VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]);

/** The reply to a client that has a stream now. */
export const succeeded = reply(SUCCEEDED);

/** The reply to a client whose dial has failed. */
export function failed(failure: Failure): Buffer {
  switch (failure) {
    case 'prohibited':
      return reply(2);
    case 'network-unreachable':
      return reply(3);
    case 'host-unreachable':
      return reply(4);
    case 'refused':
      return reply(5);
    case 'bad-request':
    case 'endpoint':
    case 'no-route':
    case 'timeout':
    case 'tunnel':
      return reply(1);
  }
}

/** Method negotiation, RFC 1928 §3, and the login, RFC 1929. `login` is asked for whenever there is one. */
export async function greet(
  reader: ByteReader,
  write: (bytes: Buffer) => void,
  login: Login | undefined,
): Promise<void> {
  await expectVersion(reader, VERSION);
  const methods = await reader.take(await reader.takeByte());
  const method = login === undefined ? NO_LOGIN : USERNAME_PASSWORD;
  if (!methods.includes(method)) {
    const problem = login === undefined ? 'insists on a login' : 'does not offer username and password';
    throw new Socks5Refusal(`the client ${problem}`, Buffer.from([VERSION, NO_ACCEPTABLE_METHOD]));
  }
  write(Buffer.from([VERSION, method]));
  if (login === undefined) return;

  await expectVersion(reader, LOGIN_VERSION);
  const username = await reader.take(await reader.takeByte());
  const password = await reader.take(await reader.takeByte());
  if (!login.accepts(username, password)) {
    throw new Socks5Refusal('wrong username or password', Buffer.from([LOGIN_VERSION, 1]));
  }
  write(Buffer.from([LOGIN_VERSION, 0]));
}

/** The request, RFC 1928 §4: where to. A domain name is left to the node, which resolves it. */
export async function readRequest(reader: ByteReader): Promise<{ host: string; port: number }> {
  await expectVersion(reader, VERSION);
  const command = await reader.takeByte();
  await reader.take(1); // reserved
  const addressType = await reader.takeByte();
  if (command !== CONNECT) {
    throw new Socks5Refusal(`command ${command} is not CONNECT`, reply(COMMAND_NOT_SUPPORTED));
  }
  const host = await readHost(reader, addressType);
  const port = (await reader.take(2)).readUInt16BE();
  return { host, port };
}

async function readHost(reader: ByteReader, addressType: number): Promise<string> {
  switch (addressType) {
    case IPV4:
      return (await reader.take(4)).join('.');
    case IPV6:
      return ipv6Text(await reader.take(16));
    case DOMAIN_NAME:
      return (await reader.take(await reader.takeByte())).toString('latin1');
    default:
      throw new Socks5Refusal(
        `address type ${addressType} does not exist`,
        reply(ADDRESS_TYPE_NOT_SUPPORTED),
      );
  }
}

/** In the usual form, such as `fd00::1`. */
function ipv6Text(bytes: Buffer): string {
  const address = bytes.toString('hex').replace(/....(?=.)/g, '$&:');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** The first byte tells whether this is the protocol at all: a browser's requests begin with a letter, TLS with 22. */
async function expectVersion(reader: ByteReader, version: number): Promise<void> {
  const got = await reader.takeByte();
  if (got !== version)
    throw new Socks5Refusal(`the client does not speak SOCKS5: it sent ${got} for ${version}`);
}
