import { expect } from 'chai';
import { rejection, until } from '../support/dialer.js';
import { schemes } from './schemes.js';
import { begin, fetchText, Stage } from './stage.js';

for (const scheme of schemes) {
  describe(`http: requests over ${scheme.name} that name the node`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start()));
    afterEach(() => stage.end());

    it('share a kept socket with those through the same node, and with no others', async () => {
      const { port } = await scheme.serve(stage, (_request, response) => response.end('ok'));
      const agent = scheme.agent(stage);
      const through = (node?: string): object => ({ agent, port, node });
      const idle = (count: number): Promise<void> =>
        until('idle sockets', () => Object.values(agent.freeSockets).flat().length === count);
      await fetchText(through('node-1'));
      await idle(1);
      expect(await rejection(begin(through('node-2')))).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
      expect((await fetchText(through())).request.reusedSocket).to.equal(false);
      await idle(2);
      expect((await fetchText(through('node-1'))).request.reusedSocket).to.equal(true);
      await idle(2);
      expect((await fetchText(through())).request.reusedSocket).to.equal(true);
      expect(stage.recorder.options.map(({ node }) => node)).to.deep.equal(['node-1', 'node-2', undefined]);
    });
  });
}
