import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { createAuthority } from '../../lib/testing/certificates.js';
import { httpAgent, httpsAgent, type TunnelHttpsAgentOptions } from '../../lib/http/index.js';
import type { Served, Stage } from './stage.js';

const authority = createAuthority('test-ca');
const own = authority.issue({ commonName: 'endpoint', altNames: ['127.0.0.1', 'localhost'] });

/** What holds for both agents is tested with both. */
export interface Scheme {
  readonly name: 'http' | 'https';
  serve(stage: Stage, listener: http.RequestListener): Promise<Served<http.Server | https.Server>>;
  agent(stage: Stage, options?: TunnelHttpsAgentOptions): http.Agent;
  request: typeof http.request;
}

export const schemes: readonly Scheme[] = [
  {
    name: 'http',
    serve: (stage, listener) => stage.http(listener),
    agent: (stage, options) => stage.using(httpAgent(stage.recorder, options)),
    request: http.request,
  },
  {
    name: 'https',
    serve: (stage, listener) => stage.https({ cert: own.certificate, key: own.privateKey }, listener),
    agent: (stage, options) =>
      stage.using(httpsAgent(stage.recorder, { ca: authority.certificate, ...options })),
    request: https.request,
  },
];

/** The body that a GET is answered with. */
export async function fetchText(
  scheme: Scheme,
  port: number,
  agent: http.Agent,
  path = '/',
): Promise<string> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    scheme.request({ host: '127.0.0.1', port, path, agent }, resolve).once('error', reject).end();
  });
  return text(response);
}
