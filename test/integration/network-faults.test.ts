import { expect } from 'chai';
import { TunnelDialer } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import type { Impairment } from '../support/faulty-link.js';
import { waitUntil } from '../support/processes.js';
import { exchange, expectedExchange } from './exchange.js';
import { publicKeyOf } from './keys.js';
import {
  expectCut,
  fateOf,
  LINK_KINDS,
  NetworkStage,
  SOON_BACK,
  SOON_DEAD,
  SOON_DEAD_MESSAGE,
  statesOf,
} from './network-stage.js';
import { loginOf, NODE, nodeOf, nodeStatus } from './stage.js';

const KIB = 1024;
const OTHER_NODE = 'node-2';
/** Keepalive plays no part. */
const NEVER_DEAD = { keepaliveIntervalMs: 600_000 };

const IMPAIRMENTS: Record<string, { readonly impairment: Impairment; readonly bytes: number }> = {
  'loses 8 % of the packets': { impairment: { lossPercent: 8 }, bytes: 256 * KIB },
  'takes 100 ms, give or take 20': { impairment: { delayMs: 100, jitterMs: 20 }, bytes: 256 * KIB },
  'loses 5 % and takes 40 ms, give or take 10': {
    impairment: { lossPercent: 5, delayMs: 40, jitterMs: 10 },
    bytes: 96 * KIB,
  },
};

for (const kind of LINK_KINDS) {
  describeFor(kind.needs, `a dialer on a bad network (made of ${kind.name})`, () => {
    const stage = new NetworkStage();
    beforeEach(() => stage.start(kind));
    afterEach(() => stage.end());

    for (const [title, { impairment, bytes }] of Object.entries(IMPAIRMENTS)) {
      it(`carries every byte, and takes no node for dead, when the network ${title}`, async () => {
        const health = { keepaliveIntervalMs: 1000, keepaliveCountMax: 5 };
        const dialer = stage.dialer(stage.link.access, { health, pool: { minConnections: 0 } });
        const shape = { streams: 2, bytes };
        await stage.link.impair(impairment);
        expect(await exchange(dialer, stage.link.place, shape)).to.deep.equal(expectedExchange(shape));
        expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
      });
    }

    it('errors its streams as soon as the connection is reset, and dials again', async () => {
      const dialer = stage.dialer(stage.link.access, { ...SOON_BACK, health: NEVER_DEAD });
      for (let round = 1; round <= 3; round++) {
        const fates = (await stage.openStreams(dialer)).map(fateOf);
        await stage.link.reset();
        await expectCut(fates, /ECONNRESET|EPIPE|closed the connection|was closed/);
        await stage.dialEcho(dialer, await stage.use(startEcho(stage.link.place)));
        expect(nodeStatus(dialer).counts).to.deep.equal({ connected: round + 1, failed: 0, lost: round });
      }
    });

    it('is back when the node has got back the address that it had lost', async () => {
      const dialer = stage.dialer(stage.link.access, { ...SOON_BACK, health: SOON_DEAD });
      const states = statesOf(dialer);
      const fates = (await stage.openStreams(dialer)).map(fateOf);
      await stage.link.removeAddress();
      await expectCut(fates, SOON_DEAD_MESSAGE);
      await waitUntil('the node to be down', () => states.includes('down'));
      await stage.link.restoreAddress();
      await stage.expectWorking(dialer);
    });

    it('dials through the other nodes as if nothing had happened', async () => {
      const other = await stage.sshd({ authorizedKeys: [publicKeyOf(stage.link.access)] });
      const { username, privateKey } = loginOf(stage.link.access);
      const [hostKey, otherHostKey] = [stage.link.access.hostKeys[0], other.hostKeys[0]];
      const startDialer = (podCIDRs: string[]): TunnelDialer => {
        const dialer = new TunnelDialer({
          nodes: [
            nodeOf(stage.link.access, { hostKey, podCIDRs }),
            nodeOf(other, { name: OTHER_NODE, hostKey: otherHostKey }),
          ],
          ssh: { username, privateKey },
          health: SOON_DEAD,
          reconnect: SOON_BACK.reconnect,
          timeouts: { ...SOON_BACK.timeouts, hedgeAfterMs: 150 },
        });
        stage.onEnd(() => dialer.destroy());
        return dialer;
      };
      const dialers = [
        startDialer([`${stage.link.place.endpointHost}/32`]), // a pod's address, of the node that is cut off
        startDialer([]), // nobody's address
      ] as const;
      await Promise.all(dialers.map((dialer) => dialer.ready({ every: true })));
      const echo = await stage.use(startEcho(stage.link.place));
      const bystander = await stage.dialEcho(dialers[0], echo, { node: OTHER_NODE });

      const dialEach = async (): Promise<string[]> => {
        const sockets = await Promise.all([
          ...dialers.map((dialer) => stage.dial(dialer, echo)),
          stage.dial(dialers[0], echo, { node: OTHER_NODE }),
        ]);
        const good = sockets.filter(({ node }) => node === OTHER_NODE);
        await Promise.all(good.map((socket) => roundTrip(socket)));
        for (const socket of sockets) socket.destroy();
        return sockets.map(({ node }) => node);
      };
      expect((await dialEach())[0]).to.equal(NODE);
      const states = dialers.map(statesOf);
      await stage.link.partition(['up', 'down']);
      while (!states.every((entered) => entered.includes('down'))) {
        expect(await dialEach()).to.deep.equal([OTHER_NODE, OTHER_NODE, OTHER_NODE]);
      }
      expect(await dialEach()).to.deep.equal([OTHER_NODE, OTHER_NODE, OTHER_NODE]);
      await roundTrip(bystander);
      for (const dialer of dialers) {
        const counts = { connected: 1, failed: 0, lost: 0 };
        expect(dialer.status().nodes[1]).to.deep.include({ state: 'ready', counts });
      }
    });
  });
}
