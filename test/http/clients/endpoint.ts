import type http from 'node:http';
import type https from 'node:https';
import { createAuthority } from '../../../lib/testing/index.js';
import type { Served, Stage } from '../stage.js';

const authority = createAuthority('test-ca');
const own = authority.issue({ commonName: 'endpoint', altNames: ['127.0.0.1', 'node-1.example'] });

/** What an endpoint is verified by. */
export const ca = authority.certificate;

/** What a TLS server of a test is made with, good for `127.0.0.1` and `node-1.example`. */
export const serverTls = { cert: own.certificate, key: own.privateKey };

/** Has every name that is dialled lead to 127.0.0.1. */
export const anyName = { redirect: (_host: string, port: number) => ({ host: '127.0.0.1', port }) };

/** An HTTPS endpoint behind the node. */
export const serveHttps = (stage: Stage, listener: http.RequestListener): Promise<Served<https.Server>> =>
  stage.https(serverTls, listener);

/** Answers a request with its method and URL. */
export const sayWhat: http.RequestListener = ({ method, url }, response) =>
  void response.end(`${method} ${url}`);
