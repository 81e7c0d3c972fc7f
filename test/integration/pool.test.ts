import { expect } from 'chai';
import { once } from 'node:events';
import { PoolExhaustedError, type TunnelDialer, type TunnelSocket } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { rejection, roundTrip } from '../support/dialer.js';
import { startEcho, type Endpoint } from '../support/endpoints.js';
import type { Sshd } from '../support/sshd.js';
import { nodeStatus, Stage, waitForConnections } from './stage.js';

/** The default of `pool.maxChannelsPerConnection`. */
const CHANNELS = 128;

describeFor(['configure', 'processes', 'log'], 'the pool of connections to a real sshd', () => {
  const stage = new Stage();
  let sshd: Sshd;
  let echo: Endpoint;

  beforeEach(async () => {
    sshd = await stage.sshd();
    echo = await stage.use(startEcho(sshd));
  });
  afterEach(() => stage.end());

  const logins = (): number => sshd.log.filter((line) => line.includes('Accepted publickey')).length;
  const dropped = (): string[] => sshd.log.filter((line) => /drop connection|MaxStartups/.test(line));

  const dialMany = (dialer: TunnelDialer, count: number): Promise<TunnelSocket[]> =>
    Promise.all(Array.from({ length: count }, () => stage.dialEcho(dialer, echo)));

  async function close(socket: TunnelSocket): Promise<void> {
    const closed = once(socket, 'close');
    socket.resume().end();
    await closed;
  }

  it('a burst on a cold node that fits on one connection makes one', async () => {
    const dialer = stage.dialer(sshd, { pool: { minConnections: 0 } });
    await dialMany(dialer, CHANNELS);
    expect(await sshd.connectionCount()).to.equal(1);
    expect(logins()).to.equal(1);
  });

  it('a burst of 200 dials on a cold node makes two connections, and sshd drops none', async () => {
    const dialer = stage.dialer(sshd);
    await dialMany(dialer, 200);
    expect(await sshd.connectionCount()).to.equal(2);
    expect(logins()).to.equal(2);
    expect(dropped()).to.be.empty;
    expect(nodeStatus(dialer)).to.deep.include({
      connections: { ready: 2, connecting: 0, draining: 0 },
      channels: { open: 200, waiting: 0 },
      counts: { connected: 2, failed: 0, lost: 0 },
    });
  });

  it('one dial more than a connection takes makes another connection', async () => {
    const dialer = stage.dialer(sshd);
    await dialMany(dialer, CHANNELS);
    expect(await sshd.connectionCount()).to.equal(1);
    await stage.dialEcho(dialer, echo);
    expect(await sshd.connectionCount()).to.equal(2);
  });

  it('a stream that has ended makes room for another on its connection', async () => {
    const dialer = stage.dialer(sshd, { pool: { maxConnections: 1, maxChannelsPerConnection: 3 } });
    for (let round = 0; round < 10; round++) {
      for (const socket of await dialMany(dialer, 3)) await close(socket);
    }
    expect(logins()).to.equal(1);
  });

  it('more dials than all connections take wait for their turn, and further ones are turned away', async () => {
    const pool = { maxConnections: 2, maxChannelsPerConnection: 2, maxQueue: 3 };
    const dialer = stage.dialer(sshd, { pool });
    const open = await dialMany(dialer, 4);
    const waiting = dialMany(dialer, 3);
    expect(await rejection(dialer.dial(echo.host, echo.port))).to.be.an.instanceOf(PoolExhaustedError);
    expect(nodeStatus(dialer).channels).to.deep.equal({ open: 4, waiting: 3 });
    for (const socket of open) await close(socket);
    await waiting;
    expect(await sshd.connectionCount()).to.equal(2);
    expect(logins()).to.equal(2);
  });

  it('connections that nobody uses are closed, down to those that are to be kept', async () => {
    const pool = { minConnections: 1, maxChannelsPerConnection: 2, idleTimeoutMs: 50 };
    const dialer = stage.dialer(sshd, { pool });
    const sockets = await dialMany(dialer, 6);
    await waitForConnections(sshd, 3);
    for (const socket of sockets) await close(socket);
    await waitForConnections(sshd, 1);
    await stage.dialEcho(dialer, echo);
    expect(logins()).to.equal(3);
    expect(nodeStatus(dialer).counts).to.include({ lost: 0 });
  });

  it('a connection with an open stream is kept, however idle that is', async () => {
    const pool = { minConnections: 0, maxChannelsPerConnection: 1, idleTimeoutMs: 50 };
    const dialer = stage.dialer(sshd, { pool });
    const [kept, ...others] = await dialMany(dialer, 3);
    await waitForConnections(sshd, 3);
    for (const socket of others) await close(socket);
    await waitForConnections(sshd, 1);
    await roundTrip(kept!);
    await close(kept!);
    await waitForConnections(sshd, 0);
    expect(nodeStatus(dialer).state).to.equal('idle');
  });

  it('close() lets streams end, takes no new ones, and leaves nothing at sshd', async () => {
    const dialer = stage.dialer(sshd);
    const socket = await stage.dialEcho(dialer, echo);
    const closed = dialer.close();
    expect(await rejection(dialer.dial(echo.host, echo.port))).to.include({ code: 'ERR_TUNNEL_CLOSED' });
    await roundTrip(socket);
    await close(socket);
    await closed;
    await waitForConnections(sshd, 0);
    expect(dialer.status().state).to.equal('closed');
  });

  it('destroy() ends all streams with an error, and leaves nothing at sshd', async () => {
    const dialer = stage.dialer(sshd, { pool: { maxChannelsPerConnection: 2 } });
    const sockets = await dialMany(dialer, 5);
    const errors = sockets.map((socket) => once(socket, 'error'));
    dialer.destroy();
    for (const [error] of await Promise.all(errors)) expect(error).to.include({ code: 'ECONNRESET' });
    await waitForConnections(sshd, 0);
  });
});
