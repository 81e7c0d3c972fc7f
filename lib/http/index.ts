export { httpAgent } from './http-agent.js';
export { httpsAgent } from './https-agent.js';
export { TlsHandshakeTimeoutError } from './errors.js';
export type { TunnelHttpAgentOptions, TunnelHttpsAgentOptions } from './options.js';
