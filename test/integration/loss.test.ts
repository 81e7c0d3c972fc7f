import { expect } from 'chai';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TransportError, type TunnelDialer, type TunnelSocket } from '../../lib/index.js';
import { describeFor, type Requirement } from '../support/applicability.js';
import { rejection, roundTrip } from '../support/dialer.js';
import { startEcho, startEndpoint, startNeverReads, startSource } from '../support/endpoints.js';
import type { FaultProxy } from '../support/fault-proxy.js';
import type { Sshd } from '../support/sshd.js';
import { NODE, nodeStatus, Stage } from './stage.js';

const MIB = 1024 * 1024;
/** More than all the buffers on the way take. */
const WRITES = 64;
const WRITE = Buffer.alloc(MIB);
const ENDLESS = 1024 * MIB;

/** Short, but long enough for an sshd on a busy machine to answer. */
const SOON_DEAD = { keepaliveIntervalMs: 250, keepaliveCountMax: 2 };
/** Keepalive plays no part. */
const NEVER_DEAD = { keepaliveIntervalMs: 600_000 };

interface Loss {
  readonly title: string;
  readonly needs: Requirement[];
  readonly health: typeof NEVER_DEAD;
  readonly strike: (sshd: Sshd, proxy: FaultProxy) => unknown;
}

const LOSSES: readonly Loss[] = [
  {
    title: 'a FIN',
    needs: [],
    health: NEVER_DEAD,
    strike: (_, proxy) => proxy.cut('fin', 'client'),
  },
  {
    title: 'an RST',
    needs: [],
    health: NEVER_DEAD,
    strike: (_, proxy) => proxy.cut('rst', 'client'),
  },
  {
    title: "a kill -9 of the connection's sshd",
    needs: ['processes'],
    health: NEVER_DEAD,
    strike: (sshd) => sshd.killConnections('SIGKILL'),
  },
  {
    title: "an orderly end of the connection's sshd (SIGTERM)",
    needs: ['processes'],
    health: NEVER_DEAD,
    strike: (sshd) => sshd.killConnections('SIGTERM'),
  },
  {
    title: 'a network that swallows everything',
    needs: [],
    health: SOON_DEAD,
    strike: (_, proxy) => proxy.pause(),
  },
  {
    title: 'an sshd that hangs (SIGSTOP)',
    needs: ['processes'],
    health: SOON_DEAD,
    strike: (sshd) => sshd.stopAll(),
  },
];

/** What becomes of a stream: its events, in their order, up to the last. */
async function fateOf(socket: TunnelSocket): Promise<{ events: string[]; error: unknown }> {
  const events: string[] = [];
  let error: unknown;
  socket.on('end', () => events.push('end'));
  socket.on('error', (reason) => {
    events.push('error');
    error = reason;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return { events: [...events, 'close'], error };
}

for (const { title, needs, health, strike } of LOSSES) {
  describeFor(needs, `a connection to a real sshd that is lost by ${title}`, () => {
    const stage = new Stage();
    let sshd: Sshd;
    let dialer: TunnelDialer;
    let lose: () => Promise<void>;

    beforeEach(async () => {
      sshd = await stage.sshd();
      const { proxy, access } = await stage.proxied(sshd);
      dialer = stage.dialer(access, { health });
      lose = async () => {
        await strike(sshd, proxy);
      };
    });
    afterEach(() => stage.end());

    it('errors every open stream, and none of them ends as if it were complete', async () => {
      const echo = await stage.use(startEcho(sshd));
      const answersNever = await stage.use(startEndpoint((peer) => void peer.resume(), sshd));
      const idle = await Promise.all(Array.from({ length: 5 }, () => stage.dialEcho(dialer, echo)));
      const ended = await stage.dial(dialer, answersNever);
      ended.end('a question');
      await once(ended, 'finish');
      const streams = [...idle, ended];
      const fates = streams.map((socket) => fateOf(socket.resume()));
      await lose();
      for (const { events, error } of await Promise.all(fates)) {
        expect(events).to.deep.equal(['error', 'close']);
        expect(error).to.be.an.instanceOf(TransportError);
        expect(error).to.include({ code: 'ECONNRESET', node: NODE, host: sshd.endpointHost });
        expect((error as Error).cause).to.be.an.instanceOf(TransportError);
      }
      expect(nodeStatus(dialer).counts.lost).to.equal(1);
    });

    it('rejects the pipeline of a download that it cuts', async () => {
      const source = await stage.use(startSource(ENDLESS, { place: sshd }));
      const socket = await stage.dial(dialer, source);
      const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
      const piped = rejection(pipeline(socket, sink));
      await once(socket, 'data');
      await lose();
      expect(await piped)
        .to.be.an.instanceOf(TransportError)
        .with.property('code', 'ECONNRESET');
      expect(sink.writableFinished).to.equal(false);
    });

    it('fails every write that had not left the process', async () => {
      const endpoint = await stage.use(startNeverReads(sshd));
      const socket = await stage.dial(dialer, endpoint);
      socket.on('error', () => undefined);
      const writes = Array.from(
        { length: WRITES },
        () =>
          new Promise<Error | undefined>((resolve) =>
            socket.write(WRITE, (error) => resolve(error ?? undefined)),
          ),
      );
      await writes[0];
      await lose();
      const outcomes = await Promise.all(writes);
      const firstFailed = outcomes.findIndex((error) => error !== undefined);
      expect(firstFailed).to.be.within(1, WRITES - 1);
      for (const error of outcomes.slice(firstFailed)) {
        expect(error).to.be.an.instanceOf(TransportError).with.property('code', 'ECONNRESET');
      }
    });
  });
}

describeFor(['configure', 'log'], 'a connection to a real sshd on which nothing happens', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('is kept, because a locked-down sshd answers keepalives, too', async () => {
    const config = ['LogLevel DEBUG1', 'AllowTcpForwarding local', 'PermitListen none', 'MaxSessions 0'];
    const sshd = await stage.sshd({ config, keyOptions: 'restrict,port-forwarding' });
    const dialer = stage.dialer(sshd, { health: { keepaliveIntervalMs: 100, keepaliveCountMax: 5 } });
    const echo = await stage.use(startEcho(sshd));
    const socket = await stage.dialEcho(dialer, echo);
    for (let since = 0, seen = 0; seen < 10; seen++) {
      await sshd.waitForLog(/rtype cancel-tcpip-forward want_reply 1/, { since });
      since = sshd.log.length;
    }
    await roundTrip(socket);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });
});
