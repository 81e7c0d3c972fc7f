import { expect } from 'chai';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TransportError } from '../../lib/index.js';
import { rejection, until } from '../support/dialer.js';
import { schemes } from './schemes.js';
import { begin, fetchText, Stage } from './stage.js';

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

/** The ways in which HTTP/1.1 says where a body ends (RFC 9112 §6.3). */
const framings: Record<string, (response: ServerResponse) => void> = {
  'content-length': (response) => void response.setHeader('content-length', 1000),
  chunked: () => undefined,
  'the end of the connection': (response) => {
    response.useChunkedEncodingByDefault = false;
    response.setHeader('connection', 'close');
  },
};

for (const scheme of schemes) {
  describe(`http: a lost tunnel under ${scheme.name}`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start()));
    afterEach(() => stage.end());

    for (const [framing, frame] of Object.entries(framings)) {
      it(`fails a response that is delimited by ${framing}, and never ends it cleanly`, async () => {
        const { port } = await scheme.serve(stage, (_request, response) => {
          frame(response);
          response.write('the first part');
        });
        const response = await begin({ agent: scheme.agent(stage), port });
        let aborted = false;
        response.once('aborted', () => (aborted = true));
        const failed = rejection<TransportError>(pipeline(response, nowhere()));
        await once(response, 'data');
        stage.ssh.cut('fin');
        const error = await failed;
        expect(error).to.be.instanceOf(TransportError).with.property('code', 'ECONNRESET');
        expect(aborted).to.equal(true);
      });
    }

    it('ends a response cleanly that is delimited by the end of the connection and complete', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => {
        framings['the end of the connection']?.(response);
        response.end('all of it');
      });
      const { body } = await fetchText({ agent: scheme.agent(stage), port });
      expect(body).to.equal('all of it');
    });

    it('fails a request that has no response yet', async () => {
      const { server, port } = await scheme.serve(stage, () => undefined);
      const failed = rejection(begin({ agent: scheme.agent(stage), port }));
      await once(server, 'request');
      stage.ssh.cut('rst');
      expect(await failed)
        .to.be.instanceOf(TransportError)
        .with.property('code', 'ECONNRESET');
    });

    it('fails an upload', async () => {
      const { server, port } = await scheme.serve(stage, () => undefined);
      const request = scheme.request({ agent: scheme.agent(stage), host: '127.0.0.1', port, method: 'PUT' });
      const endless = new Readable({
        read() {
          this.push(Buffer.alloc(64 * 1024));
        },
      });
      const failed = rejection(pipeline(endless, request));
      await once(server, 'request');
      stage.ssh.cut('rst');
      expect(await failed)
        .to.be.instanceOf(TransportError)
        .with.property('code', 'ECONNRESET');
    });

    it('that was idle is replaced before the next request', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage);
      await fetchText({ agent, port });
      const lost = new Promise((resolve) => stage.recorder.last.once('close', resolve));
      stage.ssh.cut('fin');
      await lost;
      const { body, request } = await fetchText({ agent, port });
      expect(body).to.equal('ok');
      expect(request.reusedSocket).to.equal(false);
      expect(stage.ssh.totalConnections).to.equal(2);
    });

    it('is given to no request, not even in the turn of the event loop in which it is lost', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage);
      await Promise.all([fetchText({ agent, port }), fetchText({ agent, port })]);
      await until('two idle sockets', () => Object.values(agent.freeSockets).flat().length === 2);
      for (const socket of stage.recorder.sockets) socket.destroy(new Error('lost'));
      const answers = await Promise.all([fetchText({ agent, port }), fetchText({ agent, port })]);
      expect(answers.map(({ body }) => body)).to.deep.equal(['ok', 'ok']);
      expect(answers.map(({ request }) => request.reusedSocket)).to.deep.equal([false, false]);
      expect(stage.recorder.sockets).to.have.length(4);
    });

    it('leaves the other idle sockets in use', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage);
      await Promise.all([fetchText({ agent, port }), fetchText({ agent, port })]);
      await until('two idle sockets', () => Object.values(agent.freeSockets).flat().length === 2);
      stage.recorder.last.destroy(new Error('lost'));
      const { request } = await fetchText({ agent, port });
      expect(request.reusedSocket).to.equal(true);
      expect(stage.recorder.sockets).to.have.length(2);
    });

    it('is gone from the agent, also when nobody sends another request', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage);
      await fetchText({ agent, port });
      await until('an idle socket', () => Object.values(agent.freeSockets).length === 1);
      stage.ssh.cut('rst');
      await until('an empty pool', () => Object.values(agent.freeSockets).length === 0);
      expect(agent.sockets).to.be.empty;
    });
  });
}
