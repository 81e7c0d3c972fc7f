import { expect } from 'chai';
import { roundTrip, uncaughtDuring, until } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { nodeStatus, Stage } from './stage.js';

describe("an exception in a user's handler, on a connection to a real sshd", () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  for (const event of ['data', 'end', 'close'] as const) {
    it(`reaches the process from '${event}', and leaves the connection and its other streams alone`, async () => {
      const sshd = await stage.sshd();
      const dialer = stage.dialer(sshd, { pool: { maxConnections: 1 } });
      const echo = await stage.use(startEcho(sshd));
      const sibling = await stage.dialEcho(dialer, echo);
      const victim = await stage.dial(dialer, echo);
      const thrown = new Error(`thrown from ${event}`);
      let ran = false;
      if (event !== 'data') victim.resume();
      victim.once(event, () => {
        ran = true;
        throw thrown;
      });
      const uncaught = await uncaughtDuring(async () => {
        victim.end('hello');
        await until(event, () => ran);
      });
      expect(uncaught).to.deep.equal([thrown]);
      await roundTrip(sibling);
      await stage.dialEcho(dialer, echo);
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    });
  }
});
