import { expect } from 'chai';
import { fetchText, schemes } from './schemes.js';
import { Stage } from './stage.js';

for (const scheme of schemes) {
  describe(`http: closing the dialer under ${scheme.name}`, () => {
    it('does not wait for sockets that the agent keeps for later, and errors nobody', async () => {
      const stage = await Stage.start();
      try {
        const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
        const agent = scheme.agent(stage);
        expect(await fetchText(scheme, port, agent)).to.equal('ok');
        await stage.recorder.close();
        expect(stage.recorder.sockets.map(({ destroyed, errored }) => [destroyed, errored])).to.deep.equal([
          [true, null],
        ]);
      } finally {
        await stage.end();
      }
    });

    it('waits for a request on a socket that was kept and is used again', async () => {
      const stage = await Stage.start();
      try {
        let answer: () => void = () => undefined;
        const asked = new Promise<void>((resolve) => {
          answer = resolve;
        });
        let release: () => void = () => undefined;
        const { port } = await scheme.serve(stage, (request, response) => {
          if (request.url !== '/slow') {
            response.end('ok');
            return;
          }
          release = () => response.end('late');
          answer();
        });
        const agent = scheme.agent(stage);
        await fetchText(scheme, port, agent);
        const slow = fetchText(scheme, port, agent, '/slow');
        await asked;
        const closed = stage.recorder.close();
        release();
        expect(await slow).to.equal('late');
        await closed;
        expect(stage.recorder.sockets).to.have.length(1);
      } finally {
        await stage.end();
      }
    });
  });
}
