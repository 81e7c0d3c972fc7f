import axios from 'axios';
import { expect } from 'chai';
import got from 'got';
import { once } from 'node:events';
import type http from 'node:http';
import type https from 'node:https';
import { EndpointError } from '../../../lib/index.js';
import { httpAgent, httpsAgent } from '../../../lib/http/index.js';
import { rejection, until } from '../../support/dialer.js';
import { closedPort, Stage, type Served } from '../stage.js';
import { anyName, ca, sayWhat, serveHttps } from './endpoint.js';

interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

interface Asking {
  readonly agents: Agents;
  readonly method?: 'GET' | 'POST';
  readonly signal?: AbortSignal;
}

/** A client that takes agents of Node's. */
interface ClientUnderTest {
  readonly name: string;
  /** Asks, and gives the body of the answer. */
  readonly ask: (url: string, asking: Asking) => Promise<string>;
  /** Whether it asks again by itself when a GET met a reset. */
  readonly retries: boolean;
  /** The error of Node's that its own stands for. */
  readonly causeOf: (error: Error) => unknown;
}

const clients: readonly ClientUnderTest[] = [
  {
    name: 'axios',
    ask: async (url, { agents, method = 'GET', signal }) => {
      const response = await axios.request<string>({
        url,
        method,
        httpAgent: agents.http,
        httpsAgent: agents.https,
        proxy: false,
        ...(signal && { signal }),
      });
      return response.data;
    },
    retries: false,
    causeOf: ({ cause }) => cause,
  },
  {
    name: 'got',
    ask: (url, { agents, method = 'GET', signal }) =>
      got(url, {
        agent: agents,
        method,
        retry: { calculateDelay: ({ computedValue }) => Math.min(1, computedValue) },
        ...(signal && { signal }),
      }).text(),
    retries: true,
    causeOf: ({ cause }) => cause,
  },
];

const kept = (agents: Agents): number =>
  [agents.http, agents.https].flatMap(({ freeSockets }) => Object.values(freeSockets).flat()).length;

for (const { name, ask, retries, causeOf } of clients) {
  describe(`http: ${name} with httpAgent and httpsAgent`, () => {
    let stage: Stage;
    let agents: Agents;
    beforeEach(async () => {
      stage = await Stage.start(anyName);
      agents = {
        http: stage.using(httpAgent(stage.recorder)),
        https: stage.using(httpsAgent(stage.recorder, { ca })),
      };
    });
    afterEach(() => stage.end());

    const serve = {
      http: (listener: http.RequestListener): Promise<Served<http.Server | https.Server>> =>
        stage.http(listener),
      https: (listener: http.RequestListener): Promise<Served<http.Server | https.Server>> =>
        serveHttps(stage, listener),
    };

    for (const scheme of ['http', 'https'] as const) {
      it(`sends requests over ${scheme} one after the other through one channel`, async () => {
        const { port } = await serve[scheme](sayWhat);
        for (let count = 0; count < 10; count += 1) {
          const body = await ask(`${scheme}://127.0.0.1:${port}/${count}`, { agents });
          expect(body).to.equal(`GET /${count}`);
          await until('an idle socket', () => kept(agents) === 1);
        }
        expect(stage.ssh.totalChannels).to.equal(1);
      });

      it(`is given no idle socket over ${scheme} whose tunnel was lost`, async () => {
        const { port } = await serve[scheme](sayWhat);
        const url = `${scheme}://127.0.0.1:${port}/`;
        await ask(url, { agents, method: 'POST' });
        await until('an idle socket', () => kept(agents) === 1);
        stage.recorder.last.destroy(new Error('lost'));
        // One that is not asked again by itself.
        expect(await ask(url, { agents, method: 'POST' })).to.equal('POST /');
        expect(stage.recorder.sockets).to.have.length(2);
      });

      it(`gives the dial up of a request over ${scheme} that is aborted`, async () => {
        stage.ssh.faults.neverAnswer();
        const abort = new AbortController();
        const failed = rejection(ask(`${scheme}://10.0.0.11/`, { agents, signal: abort.signal }));
        await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
        abort.abort();
        expect((await failed).name).to.match(/^(CanceledError|AbortError)$/);
        expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
      });
    }

    it('verifies the endpoint against the host of the URL', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      expect(await ask(`https://node-1.example:${port}/`, { agents })).to.equal('GET /');
      const error = await rejection(ask(`https://node-2.example:${port}/`, { agents, method: 'POST' }));
      expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    });

    it('has the error of the dial as its cause', async () => {
      const port = await closedPort();
      const error = await rejection(ask(`http://127.0.0.1:${port}/`, { agents, method: 'POST' }));
      expect(error).to.include({ code: 'ECONNREFUSED' });
      expect(causeOf(error)).to.be.instanceOf(EndpointError);
    });

    it(`${retries ? 'asks again' : 'fails'} when a GET met a tunnel that is lost, as with a plain socket`, async () => {
      let requests = 0;
      const { server, port } = await stage.http((_request, response) => {
        if ((requests += 1) > 1) response.end('ok');
      });
      const asked = ask(`http://127.0.0.1:${port}/`, { agents }).catch((error: unknown) => error);
      await once(server, 'request');
      stage.ssh.cut('rst');
      const outcome = await asked;
      if (retries) expect(outcome).to.equal('ok');
      else expect(outcome).to.be.instanceOf(Error).and.include({ code: 'ECONNRESET' });
    });

    it('fails a response that a lost tunnel has cut short', async () => {
      const { port } = await stage.http((_request, response) => {
        response.useChunkedEncodingByDefault = false;
        response.setHeader('connection', 'close');
        response.write('the first part', () => stage.ssh.cut('rst'));
      });
      const error = await rejection(ask(`http://127.0.0.1:${port}/`, { agents, method: 'POST' }));
      expect(error).to.be.instanceOf(Error);
    });
  });
}
