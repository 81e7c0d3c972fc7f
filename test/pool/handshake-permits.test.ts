import { expect } from 'chai';
import { setMaxListeners } from 'node:events';
import { HandshakePermits, type Standing } from '../../lib/pool/handshake-permits.js';
import type { Permit } from '../../lib/pool/semaphore.js';
import { rejection, turn } from '../support/dialer.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

describe('the bound on handshakes of all nodes', () => {
  /** Asks for permits, and notes who got one. */
  class Requests {
    readonly granted: Standing[] = [];
    readonly held: { readonly standing: Standing; readonly permit: Permit }[] = [];

    readonly #permits: HandshakePermits;

    constructor(permits: HandshakePermits) {
      this.#permits = permits;
    }

    async ask(standing: Standing, count = 1): Promise<void> {
      for (let left = count; left > 0; left -= 1) {
        void this.#permits.acquire(never, standing).then((permit) => {
          this.granted.push(standing);
          this.held.push({ standing, permit });
        });
      }
      await turn();
    }

    async release(standing: Standing, count = 1): Promise<void> {
      for (let left = count; left > 0; left -= 1) {
        const index = this.held.findIndex((each) => each.standing === standing);
        const [freed] = this.held.splice(index, 1);
        freed?.permit.release();
        freed?.permit.release();
      }
      await turn();
    }

    count(standing: Standing): number {
      return this.held.filter((each) => each.standing === standing).length;
    }
  }

  it('leaves a part to other nodes, however many hang', async () => {
    const requests = new Requests(new HandshakePermits(32));
    await requests.ask('silent', 100);
    expect(requests.count('silent')).to.equal(24);
    await requests.ask('unknown', 4);
    await requests.ask('proven', 100);
    expect(requests.count('unknown')).to.equal(4);
    expect(requests.count('proven')).to.equal(4);
    await requests.release('unknown', 4);
    expect(requests.count('proven')).to.equal(8);
    expect(requests.count('silent')).to.equal(24);
  });

  it('leaves a quarter, rounded up', async () => {
    for (const [limit, ofSilent] of [
      [2, 1],
      [5, 3],
      [8, 6],
    ] as const) {
      const requests = new Requests(new HandshakePermits(limit));
      await requests.ask('silent', 100);
      expect(requests.count('silent'), `of ${limit}`).to.equal(ofSilent);
    }
  });

  it('never gives more permits than its limit', async () => {
    for (const standing of ['proven', 'unknown', 'silent'] as const) {
      for (const limit of [1, 2, 3, 8, 32]) {
        const requests = new Requests(new HandshakePermits(limit));
        await requests.ask(standing, 100);
        await requests.ask('proven', 100);
        expect(requests.held).to.have.lengthOf(limit);
      }
    }
  });

  it('gives at least one to everybody when there is nobody else', async () => {
    for (const standing of ['proven', 'unknown', 'silent'] as const) {
      const requests = new Requests(new HandshakePermits(1));
      await requests.ask(standing);
      expect(requests.granted).to.deep.equal([standing]);
    }
  });

  it('gives a free permit to the better standing first, and within one in the order of asking', async () => {
    const requests = new Requests(new HandshakePermits(1));
    await requests.ask('proven');
    await requests.ask('silent');
    await requests.ask('unknown');
    await requests.ask('proven');
    for (const standing of ['proven', 'proven', 'unknown'] as const) await requests.release(standing);
    expect(requests.granted).to.deep.equal(['proven', 'proven', 'unknown', 'silent']);
  });

  it('gives up the place of one that has stopped waiting', async () => {
    const permits = new HandshakePermits(1);
    const first = await permits.acquire(never, 'unknown');
    const abort = new AbortController();
    const waiting = rejection(permits.acquire(abort.signal, 'proven'));
    expect(permits.isWanted).to.equal(true);
    const reason = new Error('enough');
    abort.abort(reason);
    expect(await waiting).to.equal(reason);
    expect(permits.isWanted).to.equal(false);
    first.release();
    (await permits.acquire(never, 'silent')).release();
  });

  it('is wanted by nodes of which nothing is known', async () => {
    const permits = new HandshakePermits(1);
    const first = await permits.acquire(never, 'silent');
    const waiting = permits.acquire(never, 'unknown');
    expect(permits.isWanted).to.equal(true);
    first.release();
    (await waiting).release();
    expect(permits.isWanted).to.equal(false);
  });

  it('is not wanted by nodes that did not answer the last time', async () => {
    const permits = new HandshakePermits(1);
    const first = await permits.acquire(never, 'silent');
    const abort = new AbortController();
    const waiting = rejection(permits.acquire(abort.signal, 'silent'));
    expect(permits.isWanted).to.equal(false);
    abort.abort(new Error('enough'));
    await waiting;
    first.release();
  });

  it('gives nothing to one that has stopped waiting before it asked', async () => {
    const reason = new Error('enough');
    expect(await rejection(new HandshakePermits(1).acquire(AbortSignal.abort(reason), 'proven'))).to.equal(
      reason,
    );
  });
});
