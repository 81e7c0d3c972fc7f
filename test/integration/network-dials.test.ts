import { expect } from 'chai';
import { TunnelError, type TunnelDialer, type TunnelSocket } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { rejection } from '../support/dialer.js';
import { expectNoLeaks } from '../support/leaks.js';
import { waitUntil } from '../support/processes.js';
import { LINK_KINDS, NetworkStage, SOON_DEAD } from './network-stage.js';
import { dialerTo, NODE, nodeStatus } from './stage.js';

for (const kind of LINK_KINDS) {
  describeFor(
    kind.needs,
    `a network (made of ${kind.name}) that is cut settles a dial with a typed error and leaves nothing of it behind`,
    () => {
      const stage = new NetworkStage();
      beforeEach(() => stage.start(kind));
      afterEach(() => stage.end());

      const cut = { partition: () => stage.link.partition(['up', 'down']), reset: () => stage.link.reset() };
      const options = {
        health: SOON_DEAD,
        pool: { minConnections: 0 },
        timeouts: { connectMs: 700, dialMs: 6000 },
        reconnect: { minMs: 600_000, maxMs: 600_000 },
      };

      const expectSettled = async (dialer: TunnelDialer, dial: Promise<TunnelSocket>): Promise<void> => {
        const error = await rejection(dial);
        expect(error).to.be.an.instanceOf(TunnelError);
        expect(error).to.include({ node: NODE });
        const { channels, connections } = nodeStatus(dialer);
        expect(channels).to.deep.equal({ open: 0, waiting: 0 });
        expect(connections.connecting).to.equal(0);
      };

      it('while it connects', () =>
        expectNoLeaks(async () => {
          const dialer = dialerTo(stage.link.access, options);
          await cut.partition();
          await expectSettled(dialer, dialer.dial(stage.link.place.endpointHost, 1));
          dialer.destroy();
          await stage.link.heal();
        }));

      for (const how of ['partition', 'reset'] as const) {
        it(`during the handshake (${how})`, () =>
          expectNoLeaks(async () => {
            const dialer = dialerTo(stage.link.access, options);
            await stage.link.sshd.stopAll();
            const dial = dialer.dial(stage.link.place.endpointHost, 1);
            dial.catch(() => undefined);
            await waitUntil('the attempt', () => nodeStatus(dialer).connections.connecting === 1);
            await cut[how]();
            await expectSettled(dialer, dial);
            dialer.destroy();
            await stage.link.heal();
            await stage.link.sshd.contAll();
          }));

        it(`while its channel is opened (${how})`, () =>
          expectNoLeaks(async () => {
            const dialer = dialerTo(stage.link.access, options);
            await dialer.ready();
            await stage.link.sshd.stopAll();
            const dial = dialer.dial(stage.link.place.endpointHost, 1);
            dial.catch(() => undefined);
            await cut[how]();
            await expectSettled(dialer, dial);
            dialer.destroy();
            await stage.link.heal();
            await stage.link.sshd.contAll();
          }));
      }
    },
  );
}
