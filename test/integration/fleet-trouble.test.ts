import { expect } from 'chai';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { TunnelDialer, type ConnectionMessage, type NodeSpec } from '../../lib/index.js';
import { describeFor, ownSshd } from '../support/applicability.js';
import { startBlackHole } from '../support/black-hole.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho, type Endpoint } from '../support/endpoints.js';
import { freePort } from '../support/loopback-port.js';
import { waitUntil } from '../support/processes.js';
import type { Sshd } from '../support/sshd.js';
import { publicKeyOf } from './keys.js';
import { loginOf, Stage } from './stage.js';

const MAX_HANDSHAKES = 8;
const SSHDS = 3;
const WELL = 45;
/** More of them than there are permits, of each kind. */
const HUNG = 10;
const REFUSING = 16;

/** More than all nodes of one sshd ask for at once. */
const MANY_AT_ONCE = ['MaxStartups 500'];
const QUIET_LIVES = { keepaliveIntervalMs: 600_000 };
const BACK_OFF = { minMs: 50, maxMs: 500 };
/** How long a hung node may have a permit; no test has that much time. */
const CONNECT_MS = 60_000;

/** Handshakes under way, as the library publishes them. */
class Handshakes {
  readonly #stage: Stage;
  readonly #underWay = new Set<number>();
  highest = 0;

  get now(): number {
    return this.#underWay.size;
  }

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#on('connecting', ({ id }) => {
      this.#underWay.add(id);
      this.highest = Math.max(this.highest, this.#underWay.size);
    });
    for (const over of ['ready', 'failed', 'closed']) this.#on(over, ({ id }) => this.#underWay.delete(id));
  }

  #on(event: string, note: (message: ConnectionMessage) => unknown): void {
    const name = `tunnel-dialer:connection:${event}`;
    const listener = (message: unknown): void => void note(message as ConnectionMessage);
    subscribe(name, listener);
    this.#stage.onEnd(() => unsubscribe(name, listener));
  }
}

describeFor(
  // A container for each of them would test nothing else.
  ownSshd,
  'a fleet of which a part is in trouble',
  () => {
    const stage = new Stage();
    let sshds: readonly Sshd[];
    let echo: Endpoint;
    let handshakes: Handshakes;

    beforeEach(async () => {
      const first = await stage.sshd({ config: MANY_AT_ONCE });
      const rest = Array.from({ length: SSHDS - 1 }, () =>
        stage.sshd({ config: MANY_AT_ONCE, authorizedKeys: [publicKeyOf(first)] }),
      );
      sshds = [first, ...(await Promise.all(rest))];
      echo = await stage.use(startEcho());
      handshakes = new Handshakes(stage);
    });
    afterEach(() => stage.end());

    const nodesOf = (name: string, count: number, at: { address: string; port: number }): NodeSpec[] =>
      Array.from({ length: count }, (_, index) => ({
        name: `${name}-${index}`,
        address: at.address,
        port: at.port,
        hostKey: sshds[0]!.hostKeys[0],
      }));

    const wellNodes = (): NodeSpec[] =>
      sshds.flatMap((sshd, index) =>
        nodesOf(`well-${index}`, WELL / SSHDS, sshd).map((node) => ({ ...node, hostKey: sshd.hostKeys[0] })),
      );

    /** Nodes whose sshd is stopped, nodes that swallow every packet, and nodes that refuse. */
    const sickNodes = async (): Promise<NodeSpec[]> => {
      const stopped = await stage.sshd({ config: MANY_AT_ONCE });
      await stopped.stopAll();
      const { host, port } = await stage.use(startBlackHole());
      return [
        ...nodesOf('stopped', HUNG, stopped),
        ...nodesOf('swallowing', HUNG, { address: host, port }),
        ...nodesOf('refusing', REFUSING, { address: '127.0.0.1', port: await freePort() }),
      ];
    };

    const startDialer = (nodes: readonly NodeSpec[]): TunnelDialer => {
      const { username, privateKey } = loginOf(sshds[0]!);
      const dialer = new TunnelDialer({
        nodes,
        ssh: { username, privateKey },
        health: QUIET_LIVES,
        reconnect: { ...BACK_OFF, maxHandshakes: MAX_HANDSHAKES },
        timeouts: { connectMs: CONNECT_MS },
      });
      stage.onEnd(() => dialer.destroy());
      return dialer;
    };

    const readyNodes = (dialer: TunnelDialer): string[] =>
      dialer.status().nodes.flatMap(({ name, state }) => (state === 'ready' ? [name] : []));

    const allReady = (dialer: TunnelDialer, count: number): Promise<void> =>
      waitUntil(`${count} ready nodes`, () => readyNodes(dialer).length === count, 18_000);

    const dialThrough = async (dialer: TunnelDialer, nodes: readonly NodeSpec[]): Promise<void> => {
      await Promise.all(
        nodes.map(async ({ name: node }) => {
          const socket = await dialer.dial(echo.host, echo.port, { node });
          await roundTrip(socket);
          socket.destroy();
        }),
      );
    };

    it('dials through the well nodes while the others are tried, never with more handshakes than it may', async () => {
      const [well, sick] = [wellNodes(), await sickNodes()];
      const dialer = startDialer([...well, ...sick]);
      await allReady(dialer, WELL);
      const failed = () => dialer.status().nodes.reduce((sum, { counts }) => sum + counts.failed, 0);
      do await dialThrough(dialer, well);
      while (failed() < 3 * REFUSING);
      for (let index = 0; index < WELL; index++) {
        const socket = await dialer.dial('localhost', echo.port);
        await roundTrip(socket);
        socket.destroy();
      }
      const counts = { connected: 1, failed: 0, lost: 0 };
      for (const { name, counts: seen } of dialer.status().nodes) {
        if (name.startsWith('well')) expect(seen, name).to.deep.equal(counts);
      }
      expect(handshakes.highest).to.equal(MAX_HANDSHAKES);
    });

    it('connects the well nodes before the hung ones that come first have had their time', async () => {
      const [well, sick] = [wellNodes(), await sickNodes()];
      const hungFirst = sick.slice(0, 2 * HUNG);
      const dialer = startDialer([...hungFirst, ...well]);
      await allReady(dialer, WELL);
      // Each would have held its permit for 10 s: 30 s in all.
      expect(handshakes.highest).to.be.at.most(MAX_HANDSHAKES);
    });

    it('replaces what well nodes have lost while hung nodes want more permits than there are', async () => {
      const [well, sick] = [wellNodes(), await sickNodes()];
      const dialer = startDialer([...well, ...sick.slice(0, 2 * HUNG)]);
      await allReady(dialer, WELL);
      await waitUntil('hung nodes to hold every permit', () => handshakes.now === MAX_HANDSHAKES);
      for (let round = 1; round <= 2; round++) {
        await sshds[0]!.killConnections();
        await dialThrough(dialer, well);
        await allReady(dialer, WELL);
      }
      expect(handshakes.highest).to.equal(MAX_HANDSHAKES);
    });

    it('is all ready again after a restart of every sshd at once, without a storm', async () => {
      const nodes = wellNodes();
      const dialer = startDialer(nodes);
      await dialer.ready({ every: true });
      const lost = (): boolean => dialer.status().nodes.every(({ counts }) => counts.lost === 1);
      await Promise.all(sshds.map((sshd) => sshd.stop()));
      await waitUntil('every node to have lost its connection', lost);
      await Promise.all(sshds.map((sshd) => sshd.restart()));
      await dialer.ready({ every: true });
      await dialThrough(dialer, nodes);
      expect(handshakes.highest).to.equal(MAX_HANDSHAKES);
      for (const { counts } of dialer.status().nodes) expect(counts).to.include({ connected: 2, lost: 1 });
    });
  },
);
