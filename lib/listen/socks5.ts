import { debug } from '../diagnostics.js';
import type { Dialer } from '../dialer.js';
import { messageOf } from '../errors.js';
import { checkDialer } from '../validation.js';
import { urlOf, type AddressOf, type TcpPlace, type UnixPlace } from './address.js';
import { ByteReader } from './byte-reader.js';
import { failureOf } from './failure.js';
import { LocalListener } from './local-listener.js';
import { Login } from './login.js';
import { checkSocks5Options, type Socks5Options } from './options.js';
import type { Session } from './session.js';
import { failed, greet, readRequest, Socks5Refusal, succeeded } from './socks5-protocol.js';

/**
 * A SOCKS5 proxy (RFC 1928) on this machine whose connections go through a dialer. It knows CONNECT, by IPv4, IPv6 and domain name; names
 * are resolved on the node, so use `socks5h://`. With `username` and `password` it asks for them (RFC 1929).
 *
 * A failed dial is told by the reply's code: 5 refused, 4 host unreachable or not found, 3 network unreachable, 2 forbidden by the node, 1 all
 * else. A stream that is cut resets the client.
 *
 * Whoever reaches the proxy gets wherever the nodes get. On 127.0.0.1 that is every user of this machine, but no web page: whatever a page has a
 * browser send does not begin as SOCKS5 does, and is reset at the first byte. Name a UNIX socket, or set a password, to keep out other users.
 *
 * @example
 * ```ts
 * const proxy = await socks5(dialer);
 * console.log(`curl --proxy ${proxy.url} http://web.default.svc.cluster.local/`);
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; and `node:net`'s own error when the address cannot be listened on,
 *   such as `EADDRINUSE`
 */
export async function socks5<At extends TcpPlace | UnixPlace = TcpPlace>(
  dialer: Dialer,
  options: Socks5Options<At> = {},
): Promise<LocalListener<AddressOf<At>>> {
  checkDialer(dialer);
  const checked = checkSocks5Options(options);
  const login = Login.of(checked);
  return LocalListener.open(dialer, checked, {
    name: 'socks5',
    serve: (session) => void serve(session, login),
    requestTimeoutMs: checked.requestTimeoutMs,
    url: (address) => urlOf('socks5h', address),
  });
}

async function serve(session: Session, login: Login | undefined): Promise<void> {
  const { client } = session;
  const reader = new ByteReader(client);
  try {
    await greet(reader, (bytes) => void client.write(bytes), login);
    const { host, port } = await readRequest(reader);
    session.carry(host, port, { opened: succeeded, failed: (error) => failed(failureOf(error)) });
  } catch (error) {
    debug.listen('socks5: %s', messageOf(error));
    session.refuse(error instanceof Socks5Refusal ? error.answer : undefined);
  }
}
