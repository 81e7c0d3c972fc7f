import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TunnelSocket } from '../../lib/index.js';
import { roundTrip, until } from '../support/dialer.js';
import { startEcho, startNeverReads } from '../support/endpoints.js';
import { nodeStatus, Stage } from './stage.js';

const UPLOADS = 40;
const BLOCK = Buffer.alloc(64 * 1024);
/** Round trips on a sibling in which nothing more was sent: all wait. */
const QUIET_ROUND_TRIPS = 50;

describe('endpoints behind a real sshd that do not read', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('and then all take at once what had to wait get everything, and their connection lives on', async () => {
    const sshd = await stage.sshd();
    const { proxy, access } = await stage.proxied(sshd);
    const dialer = stage.dialer(access, { pool: { maxConnections: 1 } });
    const sibling = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
    const endpoint = await stage.use(startNeverReads(sshd));
    const uploads: TunnelSocket[] = [];
    const peers: Socket[] = [];
    for (let count = 0; count < UPLOADS; count++) {
      const accepted = endpoint.nextConnection();
      uploads.push(await stage.dial(dialer, endpoint));
      peers.push(await accepted);
    }

    // Each upload goes on until its channel's window is used up and a block has to wait for more.
    const written = uploads.map(() => 0);
    const stops = uploads.map((upload, index) => {
      const fill = (): void => {
        do written[index]! += BLOCK.length;
        while (upload.write(BLOCK));
      };
      upload.on('drain', fill);
      fill();
      return () => upload.off('drain', fill);
    });
    const sent = (): number =>
      uploads.reduce((sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength, 0);
    for (let before = -1, quiet = 0; quiet < QUIET_ROUND_TRIPS; quiet++) {
      await roundTrip(sibling);
      if (sent() !== before) quiet = 0;
      before = sent();
    }
    for (const stop of stops) stop();

    // All endpoints take what there is, and what sshd then says of the channels' windows arrives in one piece.
    proxy.down.pause();
    const taken = peers.map(() => 0);
    for (const [index, peer] of peers.entries()) {
      peer.on('data', (chunk: Buffer) => (taken[index]! += chunk.length)).resume();
    }
    await until('the endpoints to take it', () => taken.reduce((sum, bytes) => sum + bytes) >= sent());
    proxy.down.resume();

    const ended = Promise.all(peers.map((peer) => once(peer, 'end')));
    for (const upload of uploads) upload.end();
    await ended;
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    expect(taken).to.deep.equal(written);
    await roundTrip(sibling);
  });
});
