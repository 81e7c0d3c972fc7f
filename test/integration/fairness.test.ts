import { expect } from 'chai';
import { roundTrip } from '../support/dialer.js';
import { startEcho, startEndpoint } from '../support/endpoints.js';
import { Stage } from './stage.js';

const MIB = 1024 * 1024;
const UPLOADS = 20;
const LINK_BYTES_PER_SECOND = 4 * MIB;
const ECHOES = 3;
const MAX_ECHO_SECONDS = 2;

describe('one connection to a real sshd over a slow link', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  // Counted in bytes that pass before the echo's, which are its delay at the link's rate: a machine too busy to keep up the rate
  // does not disturb that.
  it('20 uploads leave the echo of a sibling under 2 s', async function () {
    this.timeout(60_000);
    const sshd = await stage.sshd();
    const { proxy, access } = await stage.proxied(sshd);
    const dialer = stage.dialer(access, { pool: { maxConnections: 1 } });
    const sibling = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
    const sink = await stage.use(startEndpoint((peer) => void peer.resume(), sshd));
    const uploads = await Promise.all(Array.from({ length: UPLOADS }, () => stage.dial(dialer, sink)));

    proxy.up.throttle(LINK_BYTES_PER_SECOND);
    const block = Buffer.alloc(MIB); // as the body of a request may be
    for (const upload of uploads) {
      const fill = (): void => {
        while (upload.write(block));
      };
      upload.on('drain', fill);
      fill();
    }

    await roundTrip(sibling, '.'); // the buffers on the way fill up meanwhile
    const bytesAhead: number[] = [];
    for (let count = 0; count < ECHOES; count++) {
      const before = proxy.up.bytes;
      await roundTrip(sibling, '.');
      bytesAhead.push(proxy.up.bytes - before);
    }
    const median = bytesAhead.sort((a, b) => a - b)[Math.floor(ECHOES / 2)]!;
    const seconds = median / LINK_BYTES_PER_SECOND;
    expect(seconds, 'seconds on the link').to.be.below(MAX_ECHO_SECONDS);
  });
});
