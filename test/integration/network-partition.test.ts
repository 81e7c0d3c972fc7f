import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { describeFor } from '../support/applicability.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import type { Way } from '../support/faulty-link.js';
import { waitUntil } from '../support/processes.js';
import { exchange, expectedExchange } from './exchange.js';
import {
  expectCut,
  fateOf,
  LINK_KINDS,
  NetworkStage,
  SOON_BACK,
  SOON_DEAD,
  SOON_DEAD_MESSAGE,
} from './network-stage.js';
import { nodeStatus } from './stage.js';

const KIB = 1024;

const WAYS: Record<string, readonly Way[]> = {
  'both ways': ['up', 'down'],
  'from the dialer to the node': ['up'],
  'from the node to the dialer': ['down'],
};

for (const kind of LINK_KINDS) {
  describeFor(kind.needs, `a dialer on a network that is cut (made of ${kind.name})`, () => {
    const stage = new NetworkStage();
    beforeEach(() => stage.start(kind));
    afterEach(() => stage.end());

    for (const [title, ways] of Object.entries(WAYS)) {
      describe(`that is cut ${title}`, () => {
        for (const streaming of [false, true]) {
          it(`has lost ${streaming ? 'a connection full of data' : 'an idle connection'} when the node was silent for long enough, and is back when the network is`, async () => {
            const dialer = stage.dialer(stage.link.access, { ...SOON_BACK, health: SOON_DEAD });
            const echo = await stage.use(startEcho(stage.link.place));
            const streams = streaming
              ? await stage.openStreams(dialer)
              : [await stage.dialEcho(dialer, echo)];
            const fates = streams.map(fateOf);
            await stage.link.partition(ways);
            await expectCut(fates, SOON_DEAD_MESSAGE);
            expect(nodeStatus(dialer)).to.have.property('state').that.is.oneOf(['connecting', 'down']);
            expect(nodeStatus(dialer).counts.lost).to.equal(1);
            await stage.link.heal();
            await stage.expectWorking(dialer);
          });
        }
      });
    }

    it('loses nothing when the network is cut for less than the limit', async () => {
      const dialer = stage.dialer(stage.link.access, {
        health: { keepaliveIntervalMs: 1000, keepaliveCountMax: 4 },
      });
      await dialer.ready();
      const shape = { streams: 2, bytes: 8 * 1024 * KIB };
      const idle = await stage.dialEcho(dialer, await stage.use(startEcho(stage.link.place)));
      let isOver = false;
      const exchanged = exchange(dialer, stage.link.place, shape).finally(() => (isOver = true));
      await waitUntil('data to flow', () => dialer.status().bytes.received > 256 * KIB);
      await stage.link.partition(['up', 'down']);
      await delay(500);
      expect(isOver).to.equal(false);
      await stage.link.heal();
      expect(await exchanged).to.deep.equal(expectedExchange(shape));
      await roundTrip(idle);
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    });
  });
}
