export { httpAgent } from './http-agent.js';
export { httpsAgent } from './https-agent.js';
export {
  http2Connection,
  httpConnection,
  httpsConnection,
  type CreateConnection,
  type CreateHttp2Connection,
} from './connection-functions.js';
export { undiciConnector, type UndiciConnector, type UndiciEndpoint } from './undici-connector.js';
export { TlsHandshakeTimeoutError, UndiciSocketError } from './errors.js';
export type {
  TunnelConnectionOptions,
  TunnelTlsConnectionOptions,
  UndiciConnectorOptions,
} from './connection-options.js';
export type { TunnelHttpAgentOptions, TunnelHttpsAgentOptions } from './options.js';
export { statusHandler, type StatusHandler } from './status/status-handler.js';
export type { MetricsRegistry, StatusHandlerOptions } from './status/options.js';
export type { ObservableDialer, ObservedNode, ObservedSource, ObservedStatus } from './status/observed.js';
