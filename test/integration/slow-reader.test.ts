import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TunnelDialer, TunnelSocket } from '../../lib/index.js';
import { readAll, roundTrip } from '../support/dialer.js';
import { startEcho, startEndpoint, startSource, type Endpoint } from '../support/endpoints.js';
import { patternBlocks } from '../support/pattern.js';
import type { Sshd } from '../support/sshd.js';
import { exchange, expectedExchange } from './exchange.js';
import { Stage } from './stage.js';

const MIB = 1024 * 1024;
/** What a reader that does not keep up may hold in our process. */
const MAX_HELD_BYTES = 5 * MIB;
/** Much more than all the buffers between an endpoint and its reader take. */
const PLENTY = 64 * MIB;
/** Round trips on a sibling in which a stream has gained nothing: sshd has sent all that it may. */
const QUIET_ROUND_TRIPS = 50;
const PIECE = 64 * 1024;

describe('a slow reader behind a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let dialer: TunnelDialer;
  /** A stream on the same connection. */
  let sibling: TunnelSocket;

  before(async () => {
    sshd = await shared.sshd();
  });
  after(() => shared.end());
  beforeEach(async () => {
    dialer = stage.dialer(sshd, { pool: { maxConnections: 1 } });
    sibling = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
  });
  afterEach(() => stage.end());

  /** Waits until a stream of which so much was read has got all that it will get. */
  async function untilStalled(socket: TunnelSocket, consumed = 0): Promise<void> {
    for (let quiet = 0, before = -1; quiet < QUIET_ROUND_TRIPS; quiet++) {
      await roundTrip(sibling);
      if (socket.bytesRead !== before) quiet = 0;
      before = socket.bytesRead;
      expect(before - consumed).to.be.at.most(MAX_HELD_BYTES);
    }
  }

  /** Both ends of a stream. */
  async function connect(endpoint: Endpoint): Promise<[TunnelSocket, Socket]> {
    const accepted = endpoint.nextConnection();
    return [await stage.dial(dialer, endpoint), await accepted];
  }

  it('that never reads holds at most 5 MB, and its siblings go on', async () => {
    const source = await stage.use(startSource(PLENTY, { place: sshd }));
    const unread = await stage.dial(dialer, source);
    await untilStalled(unread);
    expect(unread.bytesRead).to.be.at.least(MIB); // the window was used
    const shape = { streams: 4, bytes: 4 * MIB };
    expect(await exchange(dialer, sshd, shape)).to.deep.equal(expectedExchange(shape));
    expect(unread.bytesRead).to.be.at.most(MAX_HELD_BYTES);
  });

  it('that reads a little at a time holds at most 5 MB all the while', async () => {
    const source = await stage.use(startSource(PLENTY, { place: sshd }));
    const slow = await stage.dial(dialer, source);
    for (let consumed = 0; consumed < 8 * MIB;) {
      await untilStalled(slow, consumed);
      for (let pieces = 0; pieces < 8 && slow.read(PIECE) !== null; pieces++) consumed += PIECE;
    }
  });

  it('that reads at last gets everything', async () => {
    const source = await stage.use(startSource(8 * MIB, { place: sshd }));
    const late = await stage.dial(dialer, source);
    await untilStalled(late);
    const all = await readAll(late);
    expect(all.equals(Buffer.concat([...patternBlocks(8 * MIB)]))).to.equal(true);
  });

  it('that lets small messages lie does not keep the packets of its busy siblings in memory', async () => {
    const messages = 2000;
    const endpoint = await stage.use(startEndpoint((peer) => void peer.resume(), sshd));
    const [unread, toUnread] = await connect(endpoint);
    const [busy, toBusy] = await connect(endpoint);
    busy.resume();
    // The messages lie between blocks of the bulk, so that they travel in the same packets of TCP.
    const block = Buffer.alloc(64 * 1024);
    for (let sent = 0; sent < messages; sent++) {
      toUnread.write(Buffer.alloc(64, sent % 256));
      if (!toBusy.write(block)) await once(toBusy, 'drain');
    }
    while (unread.bytesRead < messages * 64) await roundTrip(sibling);

    const memory = new Set<ArrayBufferLike>();
    let bytes = 0;
    unread.on('data', (chunk: Buffer) => {
      memory.add(chunk.buffer);
      bytes += chunk.length;
    });
    while (bytes < messages * 64) await roundTrip(sibling);
    const pinned = [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(pinned).to.be.at.most(8 * messages * 64);
  });
});
