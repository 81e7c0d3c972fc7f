import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import type { AddressOf, TcpPlace, UnixPlace } from './address.js';
import { LocalListener } from './local-listener.js';
import { checkListenOptions, type ListenOptions } from './options.js';

/**
 * Listens on this machine, and gives each client that connects a stream to one endpoint: OpenSSH's `-L`, for clients that only take
 * an address. Bytes go both ways with back-pressure and half-close. A dial that fails and a stream that is cut reset the client (RST), and never
 * look like a clean end; a client that goes away takes its dial or stream with it.
 *
 * A UNIX socket has no RST: there, what is cut looks like an end. Use TCP for protocols that end a message by closing.
 *
 * @example
 * ```ts
 * const kubelet = await listen(dialer, { host: '10.0.0.11', port: 10250 });
 * console.log(kubelet.address.port);
 * await kubelet.close();
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; and `node:net`'s own error when the address cannot be listened on,
 *   such as `EADDRINUSE`
 */
export async function listen<At extends TcpPlace | UnixPlace = TcpPlace>(
  dialer: Dialer,
  options: ListenOptions<At>,
): Promise<LocalListener<AddressOf<At>>> {
  checkDialer(dialer);
  const { host, port, ...local } = checkListenOptions(options);
  return LocalListener.open(dialer, local, {
    name: 'listen',
    serve: (session) => session.carry(host, port),
  });
}
