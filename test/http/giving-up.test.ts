import { expect } from 'chai';
import { once } from 'node:events';
import type { ClientRequest } from 'node:http';
import { rejection, gate, until } from '../support/dialer.js';
import { schemes } from './schemes.js';
import { begin, fetchText, Stage } from './stage.js';

const failure = (request: ClientRequest): Promise<NodeJS.ErrnoException> =>
  new Promise((resolve) => request.once('error', resolve));

for (const scheme of schemes) {
  describe(`http: a request over ${scheme.name} that is given up`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start()));
    afterEach(() => stage.end());

    /** Nothing is left: not at the agent, not at the node. */
    const nothingLeft = async (agent: object): Promise<void> => {
      await stage.ssh.until(({ channels, pendingOpens }) => channels === 0 && pendingOpens === 0);
      await until('an empty agent', () => {
        const { sockets, freeSockets } = agent as { sockets: object; freeSockets: object };
        return Object.keys(sockets).length === 0 && Object.keys(freeSockets).length === 0;
      });
    };

    it('aborts its dial by its signal, and a channel that is confirmed too late is closed', async () => {
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const { port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage);
      const abort = new AbortController();
      const failed = rejection(begin({ agent, port, signal: abort.signal }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      abort.abort();
      expect(await failed).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
      open();
      await nothingLeft(agent);
      expect(stage.recorder.sockets).to.be.empty;
    });

    it('aborts its dial by destroy() and fails with the error given', async () => {
      stage.ssh.faults.neverAnswer();
      const { port } = await scheme.serve(stage, () => undefined);
      const request = scheme.request({ agent: scheme.agent(stage), host: '127.0.0.1', port }).end();
      const failed = failure(request);
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      const reason = new Error('changed my mind');
      request.destroy(reason);
      expect(await failed).to.equal(reason);
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
    });

    it('fails at once when it is aborted before it was sent', async () => {
      const { port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage);
      expect(await rejection(begin({ agent, port, signal: AbortSignal.abort() }))).to.include({
        name: 'AbortError',
      });
      // Node 24 keeps the socket for the next request, earlier ones do not.
      agent.destroy();
      await nothingLeft(agent);
    });

    it('closes its channel while it waits for a response', async () => {
      const { server, port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage);
      const abort = new AbortController();
      const failed = rejection(begin({ agent, port, signal: abort.signal }));
      await once(server, 'request');
      abort.abort();
      expect(await failed).to.include({ name: 'AbortError' });
      await nothingLeft(agent);
    });

    it('closes its channel in the middle of a response', async () => {
      const { port } = await scheme.serve(
        stage,
        (_request, response) => void response.write('the first part'),
      );
      const agent = scheme.agent(stage);
      const response = await begin({ agent, port });
      await once(response, 'data');
      response.destroy();
      await nothingLeft(agent);
    });

    it('reports a timeout while it waits for a response', async () => {
      const { port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage);
      const request = scheme.request({ agent, host: '127.0.0.1', port, timeout: 30 }).end();
      const failed = failure(request);
      await once(request, 'timeout');
      request.destroy(new Error('too slow'));
      expect(await failed).to.include({ message: 'too slow' });
      await nothingLeft(agent);
    });

    it('reports a timeout while it is dialled', async () => {
      stage.ssh.faults.neverAnswer();
      const { port } = await scheme.serve(stage, () => undefined);
      const request = scheme
        .request({ agent: scheme.agent(stage), host: '127.0.0.1', port, timeout: 30 })
        .end();
      const failed = failure(request);
      await once(request, 'timeout');
      request.destroy();
      expect(await failed).to.include({ code: 'ECONNRESET' });
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
    });

    it("reports the agent's timeout while it waits for a response", async () => {
      const { server, port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage, { timeout: 30 });
      const request = scheme.request({ agent, host: '127.0.0.1', port }).end();
      const failed = failure(request);
      await Promise.all([once(server, 'request'), once(request, 'timeout')]);
      request.destroy(new Error('too slow'));
      expect(await failed).to.include({ message: 'too slow' });
      await nothingLeft(agent);
    });

    it("reports the agent's timeout while it is dialled", async () => {
      stage.ssh.faults.neverAnswer();
      const { port } = await scheme.serve(stage, () => undefined);
      const agent = scheme.agent(stage, { timeout: 30 });
      const request = scheme.request({ agent, host: '127.0.0.1', port }).end();
      const failed = failure(request);
      await once(request, 'timeout');
      request.destroy();
      expect(await failed).to.include({ code: 'ECONNRESET' });
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
    });

    it("is given up with the agent's timeout when it is idle", async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage, { timeout: 30 });
      expect((await fetchText({ agent, port })).body).to.equal('ok');
      await nothingLeft(agent);
    });

    it('ends with its agent, whether dialled, waiting or idle, and the dialer stays', async () => {
      const { server, port } = await scheme.serve(stage, (request, response) => {
        if (request.url === '/answered') response.end('ok');
      });
      const agent = scheme.agent(stage);
      await Promise.all([1, 2].map(() => fetchText({ agent, port, path: '/answered' })));
      await until('two idle sockets', () => Object.values(agent.freeSockets).flat().length === 2);
      const arrived = once(server, 'request');
      const waiting = rejection(begin({ agent, port }));
      await arrived;
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const dialled = rejection(begin({ agent, port, host: 'localhost' }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      agent.destroy();
      expect(await waiting).to.include({ code: 'ECONNRESET' });
      expect(await dialled).to.include({ code: 'ECONNRESET' });
      open();
      await nothingLeft(agent);
      stage.ssh.faults.reset();
      const other = scheme.agent(stage);
      expect((await fetchText({ agent: other, port, path: '/answered' })).body).to.equal('ok');
      expect(stage.ssh.totalConnections).to.equal(1);
    });
  });
}
