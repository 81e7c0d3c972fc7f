import { expect } from 'chai';
import { once } from 'node:events';
import { describeFor, type Feature } from '../support/applicability.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { targetKind } from '../support/target.js';
import { nodeStatus, Stage } from './stage.js';
import { openSshVersion } from './versions.js';

/** The first OpenSSH that knows UnusedConnectionTimeout. The container has Debian's 9.2 at least. */
const closesUnused: Feature = {
  name: 'OpenSSH 9.2',
  present: targetKind !== 'own' || openSshVersion() >= 9.2,
};

describe('an sshd that ends what is idle', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  describeFor(['configure', 'log'], '(ClientAliveInterval)', () => {
    it('keeps a connection on which nothing happens, because we answer', async () => {
      const config = ['ClientAliveInterval 1', 'ClientAliveCountMax 1', 'LogLevel DEBUG1'];
      const sshd = await stage.sshd({ config });
      const dialer = stage.dialer(sshd);
      const socket = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
      await sshd.waitForLog(/Got \d+\/\d+ for keepalive/);
      await roundTrip(socket);
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    });
  });

  describeFor(['configure', 'log', closesUnused], '(UnusedConnectionTimeout)', () => {
    it('does not put the node in back-off, however often it has closed an unused connection', async () => {
      const sshd = await stage.sshd({ config: ['UnusedConnectionTimeout 1s'] });
      const echo = await stage.use(startEcho(sshd));
      const dialer = stage.dialer(sshd, { reconnect: { minMs: 600_000, maxMs: 600_000 } });
      await dialer.ready();
      while (nodeStatus(dialer).counts.lost < 4) await once(dialer, 'nodeState');
      await stage.dialEcho(dialer, echo);
      expect(nodeStatus(dialer).counts.failed).to.equal(0);
    });
  });
});
