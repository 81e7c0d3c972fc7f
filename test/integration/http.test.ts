import { expect } from 'chai';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createAuthority } from '../../lib/testing/certificates.js';
import { httpAgent, httpsAgent } from '../../lib/http/index.js';
import type { TunnelDialer } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { rejection } from '../support/dialer.js';
import { refusedEndpoint } from '../support/endpoints.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import type { Sshd } from '../support/sshd.js';
import { chunksOf, take } from './exchange.js';
import { nodeStatus, Stage } from './stage.js';

const MIB = 1024 * 1024;
const authority = createAuthority('cluster-ca');
const ca = authority.certificate;

describe('HTTP through a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let dialer: TunnelDialer;

  before(async () => {
    sshd = await shared.sshd();
  });
  after(() => shared.end());
  beforeEach(() => {
    dialer = stage.dialer(sshd);
  });
  afterEach(() => stage.end());

  async function listening(server: http.Server | https.Server): Promise<number> {
    server.keepAliveTimeout = 0; // only what a test itself does may end an idle connection
    server.listen(0, sshd.listenHost);
    await once(server, 'listening');
    stage.onEnd(async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    });
    return (server.address() as AddressInfo).port;
  }

  /** An HTTPS server whose certificate is good for the host by which sshd reaches it. */
  function serveHttps(listener: http.RequestListener): Promise<number> {
    const { certificate: cert, privateKey: key } = authority.issue({
      commonName: 'endpoint',
      altNames: [sshd.endpointHost, 'localhost'],
    });
    return listening(https.createServer({ cert, key }, listener));
  }

  function httpsAgentOf(options: https.AgentOptions = {}): https.Agent {
    const agent = httpsAgent(dialer, { ca, ...options });
    stage.onEnd(() => agent.destroy());
    return agent;
  }

  function request(options: https.RequestOptions): http.ClientRequest {
    const { request: start } = options.agent instanceof https.Agent ? https : http;
    return start({ host: sshd.endpointHost, ...options });
  }

  /** Sends a request without a body and resolves when its response has begun. */
  function get(options: https.RequestOptions): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      // An error may come after the response, too.
      request(options).once('response', resolve).on('error', reject).end();
    });
  }

  it('with TLS carries requests one after another on one stream', async () => {
    const port = await serveHttps((incoming, response) => response.end(`hello ${incoming.url ?? ''}`));
    const agent = httpsAgentOf();
    for (let count = 0; count < 20; count++) {
      const response = await get({ agent, port, path: `/${count}` });
      expect(await text(response)).to.equal(`hello /${count}`);
      expect(nodeStatus(dialer).channels.open).to.equal(1);
    }
  });

  it('with TLS carries requests together, each with a big body and a big answer', async () => {
    const port = await serveHttps((incoming, response) => {
      void take(chunksOf(incoming)).then((arrived) => {
        response.setHeader('arrived', arrived);
        patternStream(2 * MIB, 2).pipe(response);
      });
    });
    const agent = httpsAgentOf();
    const exchanges = Array.from({ length: 10 }, async () => {
      const outgoing = request({ agent, port, method: 'POST' });
      const responded = once(outgoing, 'response') as Promise<[http.IncomingMessage]>;
      patternStream(2 * MIB, 1).pipe(outgoing);
      const [response] = await responded;
      return [response.headers.arrived, await take(chunksOf(response))];
    });
    const expected = [1, 2].map((seed) => `${2 * MIB} bytes ${patternSha256(2 * MIB, seed)}`);
    expect(await Promise.all(exchanges)).to.deep.equal(exchanges.map(() => expected));
  });

  it('with TLS verifies the certificate against the host asked for', async () => {
    const port = await serveHttps((_, response) => response.end('hello'));
    const named = httpsAgentOf({ servername: 'another.example' });
    expect(await rejection(get({ agent: named, port }))).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const strict = httpsAgentOf({ ca: createAuthority('other-ca').certificate });
    expect(await rejection(get({ agent: strict, port }))).to.have.property('code');
    expect(await text(await get({ agent: httpsAgentOf(), port }))).to.equal('hello');
  });

  it('without TLS carries a stream that the server keeps open, as a followed log is', async () => {
    const responses: http.ServerResponse[] = [];
    const server = http.createServer((_, response) => {
      response.write('first\n');
      responses.push(response);
    });
    const port = await listening(server);
    const agent = httpAgent(dialer);
    stage.onEnd(() => agent.destroy());
    const response = await get({ agent, port });
    const lines = response.setEncoding('utf8').iterator({ destroyOnReturn: false }) as AsyncIterator<string>;
    expect((await lines.next()).value).to.equal('first\n');
    responses[0]!.write('second\n');
    expect((await lines.next()).value).to.equal('second\n');
    responses[0]!.end();
    expect((await lines.next()).done).to.equal(true);
  });

  it('to a refused endpoint fails with the error of the dial', async () => {
    const { port } = await refusedEndpoint(sshd);
    expect(await rejection(get({ agent: httpsAgentOf(), port }))).to.include({ code: 'ECONNREFUSED' });
  });

  describeFor('processes', 'whose connection is killed', () => {
    it('fails an answer under way with ECONNRESET, and works again at once', async () => {
      let endless = true;
      const port = await serveHttps((_, response) => {
        response.write('the beginning');
        if (!endless) response.end();
      });
      const agent = httpsAgentOf();
      const response = await get({ agent, port });
      const got = rejection(text(response));
      await sshd.killConnections();
      expect(await got).to.include({ code: 'ECONNRESET' });
      endless = false;
      expect(await text(await get({ agent, port }))).to.equal('the beginning');
    });

    it('does not use the streams again that had been kept alive on it', async () => {
      const port = await serveHttps((_, response) => response.end('hello'));
      const agent = httpsAgentOf();
      for (let round = 0; round < 3; round++) {
        expect(await text(await get({ agent, port }))).to.equal('hello');
        const lost = once(dialer, 'nodeState');
        await sshd.killConnections();
        await lost;
      }
    });
  });
});
