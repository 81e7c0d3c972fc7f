export { listen } from './listen.js';
export { socks5 } from './socks5.js';
export { httpConnect } from './http-connect.js';
export type { LocalListener } from './local-listener.js';
export type { AddressOf, TcpAddress, TcpPlace, UnixAddress, UnixPlace } from './address.js';
export type {
  HttpConnectOptions,
  ListenOptions,
  LocalOptions,
  ProxyOptions,
  Socks5Options,
} from './options.js';
