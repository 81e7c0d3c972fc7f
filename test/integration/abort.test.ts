import { expect } from 'chai';
import { once } from 'node:events';
import type { TunnelDialer } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { startBlackHole } from '../support/black-hole.js';
import { rejection, roundTrip, until } from '../support/dialer.js';
import { startEcho, type Endpoint } from '../support/endpoints.js';
import { expectNoLeaks } from '../support/leaks.js';
import type { Sshd } from '../support/sshd.js';
import { dialerTo, nodeStatus, Stage, waitForConnections } from './stage.js';

const reason = new Error('the caller has changed its mind');

describeFor('processes', 'a dial through a real sshd that is aborted', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let echo: Endpoint;

  before(async () => {
    sshd = await shared.sshd();
    echo = await shared.use(startEcho(sshd));
  });
  after(() => shared.end());
  afterEach(async () => {
    await stage.end();
    await waitForConnections(sshd, 0);
  });

  /** Aborts a dial when `waiting` says that it has come to the point in question. */
  async function abortWhen(
    dialer: TunnelDialer,
    { host, port }: { host: string; port: number },
    waiting: () => boolean,
  ): Promise<void> {
    const abort = new AbortController();
    const dial = rejection(dialer.dial(host, port, { signal: abort.signal }));
    await until('the dial to wait', waiting);
    abort.abort(reason);
    expect(await dial).to.equal(reason);
  }

  it('while queued gives up its place, and never reaches the endpoint', async () => {
    await expectNoLeaks(async () => {
      const dialer = dialerTo(sshd, { pool: { maxConnections: 1, maxChannelsPerConnection: 1 } });
      const first = await dialer.dial(echo.host, echo.port);
      await roundTrip(first);
      const before = echo.accepted;
      await abortWhen(dialer, echo, () => nodeStatus(dialer).channels.waiting === 1);
      expect(nodeStatus(dialer).channels).to.deep.equal({ open: 1, waiting: 0 });

      const next = dialer.dial(echo.host, echo.port);
      first.destroy();
      const second = await next;
      await roundTrip(second);
      expect(echo.accepted).to.equal(before + 1);
      second.destroy();
      await dialer.close();
    });
  });

  it('while connecting leaves no connection behind', async () => {
    await expectNoLeaks(async () => {
      const dialer = dialerTo(sshd, { pool: { minConnections: 0 } });
      await sshd.stopAll(); // the kernel accepts, and sshd says nothing
      await abortWhen(dialer, echo, () => nodeStatus(dialer).connections.connecting === 1);
      expect(nodeStatus(dialer)).to.deep.include({
        state: 'idle',
        connections: { ready: 0, connecting: 0, draining: 0 },
        channels: { open: 0, waiting: 0 },
      });
      await sshd.contAll();
      // sshd takes connections in their order: the one given up has been seen when this one has been served.
      const socket = await dialer.dial(echo.host, echo.port);
      await roundTrip(socket);
      await waitForConnections(sshd, 1);
      socket.destroy();
      await dialer.close();
    });
  });

  it('while connecting leaves the connection to those who wait for it, too', async () => {
    const dialer = stage.dialer(sshd, { pool: { minConnections: 0 } });
    await sshd.stopAll();
    const patient = stage.dialEcho(dialer, echo);
    await abortWhen(dialer, echo, () => nodeStatus(dialer).connections.connecting === 1);
    await sshd.contAll();
    await patient;
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it('while opening leaves no stream behind, and does not hold up close()', async () => {
    await expectNoLeaks(async () => {
      const blackHole = await startBlackHole();
      const dialer = dialerTo(sshd);
      const socket = await dialer.dial(echo.host, echo.port);
      await roundTrip(socket);
      // Under way when it has had a turn after that of a sibling.
      const abort = new AbortController();
      const dial = rejection(dialer.dial(blackHole.host, blackHole.port, { signal: abort.signal }));
      await roundTrip(socket);
      abort.abort(reason);
      expect(await dial).to.equal(reason);
      expect(nodeStatus(dialer).channels).to.deep.equal({ open: 1, waiting: 0 });
      await roundTrip(socket);
      socket.destroy();
      await dialer.close();
      await blackHole.close();
    });
  });

  it('while opening has its stream closed when sshd opens it after all', async () => {
    const dialer = stage.dialer(sshd);
    await stage.dialEcho(dialer, echo);
    const { open } = nodeStatus(dialer).channels;
    await sshd.stopAll();
    const abort = new AbortController();
    const dial = rejection(dialer.dial(echo.host, echo.port, { signal: abort.signal }));
    await until('the request to be sent', () => nodeStatus(dialer).channels.waiting === 0);
    const tooLate = echo.nextConnection();
    abort.abort(reason);
    expect(await dial).to.equal(reason);
    await sshd.contAll();
    const peer = await tooLate;
    if (!peer.closed) await once(peer, 'close');
    expect(nodeStatus(dialer).channels.open).to.equal(open);
  });

  it('before it begins does nothing at all', async () => {
    await expectNoLeaks(async () => {
      const dialer = dialerTo(sshd, { pool: { minConnections: 0 } });
      const error = await rejection(dialer.dial(echo.host, echo.port, { signal: AbortSignal.abort(reason) }));
      expect(error).to.equal(reason);
      expect(nodeStatus(dialer).state).to.equal('idle');
      await dialer.close();
    });
  });
});
