import { expect } from 'chai';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Agent, request } from 'undici';
import { httpsAgent, undiciConnector, type UndiciConnector } from '../../../lib/http/index.js';
import { turns, until } from '../../support/dialer.js';
import { HandleTracker } from '../../support/leaks.js';
import { Stage } from '../stage.js';
import { ca, sayWhat, serveHttps } from './endpoint.js';

const REQUESTS = 10_000;
const SOCKETS = 50;

/** Has `ask` called for so many requests, `SOCKETS` at a time. */
async function askMany(requests: number, ask: () => Promise<string>): Promise<void> {
  let left = requests;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      expect(await ask()).to.equal('GET /');
    }
  };
  await Promise.all(Array.from({ length: SOCKETS }, worker));
}

/** All listeners that a socket has, of whatever event. */
const listenersOn = (socket: Duplex): number =>
  socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0);

interface Pooled {
  readonly ask: () => Promise<string>;
  /** Those that are kept, when nothing is under way. */
  readonly sockets: () => readonly Duplex[];
  readonly end: () => unknown;
}

type Client = (stage: Stage, port: number) => Pooled;

const clients: Record<string, Client> = {
  httpsAgent: (stage, port) => {
    const agent = httpsAgent(stage.recorder, { ca, maxSockets: SOCKETS });
    const ask = (): Promise<string> =>
      new Promise((resolve, reject) => {
        https
          .get({ host: '127.0.0.1', port, agent }, (response) => void text(response).then(resolve, reject))
          .once('error', reject);
      });
    const sockets = (): Duplex[] => Object.values(agent.freeSockets).flatMap((kept) => kept ?? []);
    return { ask, sockets, end: () => agent.destroy() };
  },
  undici: (stage, port) => {
    const sockets: Duplex[] = [];
    const connector = undiciConnector(stage.recorder, { ca });
    const connect: UndiciConnector = (endpoint, callback) =>
      connector(endpoint, (...result) => {
        if (result[1] !== null) sockets.push(result[1]);
        callback(...result);
      });
    const dispatcher = new Agent({ connect, connections: SOCKETS });
    const ask = async (): Promise<string> =>
      (await request(`https://127.0.0.1:${port}/`, { dispatcher })).body.text();
    return { ask, sockets: () => sockets, end: () => dispatcher.close() };
  },
};

for (const [name, make] of Object.entries(clients)) {
  describe(`http: ${name}, ${REQUESTS} HTTPS requests over ${SOCKETS} sockets`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start()));
    afterEach(() => stage.end());

    it('leave no channel, socket, listener or timer behind', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      // So that the connection is not among what the requests leave.
      (await stage.recorder.dial('127.0.0.1', port)).destroy();
      await stage.ssh.until(({ channels }) => channels === 0);
      stage.recorder.sockets.length = 0;

      using tracker = new HandleTracker();
      const { ask, sockets, end } = make(stage, port);
      await askMany(SOCKETS * 4, ask);
      await turns(10);
      const count = (): number[] => [...stage.recorder.sockets, ...sockets()].map(listenersOn);
      const before = count();
      await askMany(REQUESTS - SOCKETS * 4, ask);
      await turns(10);

      expect(stage.recorder.sockets).to.have.length(SOCKETS);
      expect(stage.ssh.totalChannels).to.equal(SOCKETS + 1);
      expect(before).to.have.length(2 * SOCKETS);
      expect(count()).to.deep.equal(before);
      await end();
      await stage.ssh.until(({ channels }) => channels === 0);
      await until('the end of all streams', () => stage.recorder.sockets.every(({ closed }) => closed));
      // Its keepalive is not what the requests leave.
      await stage.recorder.close();
      await tracker.allClosed();
    }).timeout(60_000);
  });
}
