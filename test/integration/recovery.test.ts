import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { NodeUnavailableError, TransportError, TunnelDialer, type TunnelSocket } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { rejection, roundTrip, until } from '../support/dialer.js';
import { startEcho, type Endpoint } from '../support/endpoints.js';
import { publicKeyOf } from './keys.js';
import type { Sshd } from '../support/sshd.js';
import { loginOf, NODE, nodeOf, nodeStatus, Stage, waitForConnections } from './stage.js';

/** After a failure no attempt is made before the test is over. */
const NO_SECOND_ATTEMPT = { reconnect: { minMs: 600_000, maxMs: 600_000 } };

const OUTAGE_MS = 10_000;
const MAX_RECOVERY_MS = 2_000;
const LOOP_MS = 50;

const OTHER_NODE = 'node-2';
const WORKERS = 8;

/** Resolves when a stream has failed. */
const lost = (socket: TunnelSocket): Promise<unknown[]> => once(socket, 'error');

describeFor(['configure', 'processes', 'restart'], 'a dialer whose sshd goes away and comes back', () => {
  const stage = new Stage();
  let sshd: Sshd;
  let echo: Endpoint;

  beforeEach(async () => {
    sshd = await stage.sshd();
    echo = await stage.use(startEcho(sshd));
  });
  afterEach(() => stage.end());

  it("dials again without waiting for a timer, after a kill -9 of the connection's sshd", async () => {
    const dialer = stage.dialer(sshd, NO_SECOND_ATTEMPT);
    for (let round = 0; round < 3; round++) {
      const socket = await stage.dialEcho(dialer, echo);
      const error = lost(socket);
      await sshd.killConnections();
      await error;
      await stage.dialEcho(dialer, echo);
    }
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 4, failed: 0, lost: 3 });
  });

  it('makes the dials again that were under way on the connection that was killed', async () => {
    const dialer = stage.dialer(sshd, NO_SECOND_ATTEMPT);
    await stage.dialEcho(dialer, echo);
    await sshd.stopAll();
    const dials = Array.from({ length: 10 }, () => stage.dialEcho(dialer, echo));
    await sshd.killConnections();
    await sshd.contAll();
    await Promise.all(dials);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 2, failed: 0, lost: 1 });
  });

  it('dials again at once when all connections of a busy node were killed together', async () => {
    const pool = { maxConnections: 4, maxChannelsPerConnection: 1 };
    const dialer = stage.dialer(sshd, { ...NO_SECOND_ATTEMPT, pool });
    const sockets = await Promise.all(Array.from({ length: 4 }, () => stage.dialEcho(dialer, echo)));
    const errors = sockets.map(lost);
    await sshd.killConnections();
    await Promise.all(errors);
    await Promise.all(Array.from({ length: 4 }, () => stage.dialEcho(dialer, echo)));
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 8, failed: 0, lost: 4 });
  });

  it('dials within 2 s of the return of an sshd that was down for 10 s', async function () {
    this.timeout(60_000);
    const persistent = stage.dialer(sshd);
    const patient = stage.dialer(sshd);
    await Promise.all([persistent.ready(), patient.ready()]);
    await sshd.stop();

    const failures: unknown[] = [];
    const outageEnd = performance.now() + OUTAGE_MS;
    while (performance.now() < outageEnd) {
      await dialOnce(persistent).catch((error: unknown) => void failures.push(error));
      await delay(LOOP_MS);
    }
    expect(failures).to.not.be.empty;
    for (const error of failures) expect(error).to.be.an.instanceOf(NodeUnavailableError);

    await sshd.restart();
    const back = performance.now();
    const recoveryMs = async (dialer: TunnelDialer): Promise<number> => {
      for (;;) {
        try {
          await dialOnce(dialer);
          return performance.now() - back;
        } catch (error) {
          expect(error).to.be.an.instanceOf(NodeUnavailableError);
          await delay(LOOP_MS);
        }
      }
    };
    for (const ms of await Promise.all([recoveryMs(persistent), recoveryMs(patient)])) {
      expect(ms).to.be.below(MAX_RECOVERY_MS);
    }
  });

  it('loses only the open streams of the node whose sshd is restarted, under load', async () => {
    const other = await stage.sshd({ authorizedKeys: [publicKeyOf(sshd)] });
    const { username, privateKey } = loginOf(sshd);
    const dialer = new TunnelDialer({
      nodes: [
        nodeOf(sshd, { hostKey: sshd.hostKeys[0] }),
        nodeOf(other, { name: OTHER_NODE, hostKey: other.hostKeys[0] }),
      ],
      ssh: { username, privateKey },
      timeouts: { dialMs: 15_000 },
    });
    stage.onEnd(() => dialer.destroy());
    await dialer.ready({ every: true });
    const here = await stage.dialEcho(dialer, echo, { node: NODE });
    const elsewhere = await stage.dialEcho(dialer, echo, { node: OTHER_NODE });

    let stopped = false;
    const roundTrips: Record<string, number> = { [NODE]: 0, [OTHER_NODE]: 0 };
    const streamErrors: unknown[] = [];
    const worker = async (): Promise<void> => {
      while (!stopped) {
        // Either node may carry this one, so that there is always one that can.
        const socket = await dialer.dial('localhost', echo.port);
        try {
          await roundTrip(socket);
          roundTrips[socket.node]! += 1;
        } catch (error) {
          streamErrors.push(error);
        }
        socket.on('error', () => undefined).destroy();
      }
    };
    const workers = Promise.all(Array.from({ length: WORKERS }, worker));
    const passed = async (node: string, count: number): Promise<void> => {
      const goal = roundTrips[node]! + count;
      await until(`${count} round trips through ${node}`, () => roundTrips[node]! >= goal);
    };
    await passed(NODE, 100);

    const [cut] = await Promise.all([lost(here), sshd.stop()]);
    expect(cut).to.have.nested.property('[0].code', 'ECONNRESET');
    await passed(OTHER_NODE, 100);
    await sshd.restart();
    await dialer.ready({ every: true });
    await passed(NODE, 100);
    stopped = true;
    await workers;

    for (const error of streamErrors) {
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error).to.include({ code: 'ECONNRESET', node: NODE });
    }
    expect(streamErrors).to.have.lengthOf.at.most(WORKERS);
    await roundTrip(elsewhere);
    expect(dialer.status().nodes[1]?.counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  describe('and takes few handshakes at once (MaxStartups)', () => {
    it('carries a burst all the same: what it drops is tried again', async () => {
      const strict = await stage.sshd({ config: ['MaxStartups 2:100:2'] });
      const pool = { maxConnections: 6, maxChannelsPerConnection: 1 };
      const reconnect = { minMs: 10, maxMs: 100, maxHandshakesPerNode: 6 };
      const dialer = stage.dialer(strict, { pool, reconnect });
      await Promise.all(Array.from({ length: 6 }, () => stage.dialEcho(dialer, echo)));
      await waitForConnections(strict, 6);
    });

    it('says so when there is no room at all, and is dialled as soon as there is', async () => {
      const strict = await stage.sshd({ config: ['MaxStartups 2:100:2'] });
      const mute = [connect(strict.port, strict.address), connect(strict.port, strict.address)];
      stage.onEnd(() => mute.forEach((socket) => socket.destroy()));
      await waitForConnections(strict, 2);
      const dialer = stage.dialer(strict, { reconnect: { minMs: 1, maxMs: 1 } });
      const error = await rejection(dialer.dial(echo.host, echo.port));
      expect(error).to.be.an.instanceOf(NodeUnavailableError);
      expect(error.message).to.include('MaxStartups');
      for (const socket of mute) socket.destroy();
      await dialer.ready();
      await stage.dialEcho(dialer, echo);
    });

    it('is not asked for more at once than its limit, when maxHandshakesPerNode says so', async () => {
      const strict = await stage.sshd({ config: ['MaxStartups 2:100:2'] });
      const pool = { maxConnections: 6, maxChannelsPerConnection: 1 };
      const dialer = stage.dialer(strict, {
        ...NO_SECOND_ATTEMPT,
        pool,
        reconnect: { maxHandshakesPerNode: 1 },
      });
      await Promise.all(Array.from({ length: 6 }, () => stage.dialEcho(dialer, echo)));
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 6, failed: 0, lost: 0 });
    });
  });

  async function dialOnce(dialer: TunnelDialer): Promise<void> {
    const socket = await dialer.dial(echo.host, echo.port);
    await roundTrip(socket);
    socket.destroy();
  }
});
