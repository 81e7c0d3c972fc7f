import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { InvalidOptionError } from '../../lib/errors.js';
import { Semaphore, type Permit } from '../../lib/pool/semaphore.js';
import { below, seededRandom } from '../support/seeded-random.js';

/** Lets every promise that can settle now do so. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it was granted'),
    (reason: unknown) => reason,
  );
}

/** Waiters by number, and the numbers in the order in which they were granted. */
function queueUp(semaphore: Semaphore, count: number, signal?: AbortSignal) {
  const granted: number[] = [];
  const waiters = Array.from({ length: count }, (_, index) => {
    const waiter = semaphore.acquire(signal);
    waiter.then(
      () => granted.push(index),
      () => undefined,
    );
    return waiter;
  });
  return { granted, waiters };
}

describe('Semaphore', () => {
  it('grants as many permits at once as it has, and no more', async () => {
    const semaphore = new Semaphore(3);
    const { granted } = queueUp(semaphore, 5);
    await settled();
    expect(granted).to.deep.equal([0, 1, 2]);
    expect([semaphore.available, semaphore.pending]).to.deep.equal([0, 2]);
  });

  it('grants in the order of asking', async () => {
    const semaphore = new Semaphore(1);
    const { granted, waiters } = queueUp(semaphore, 5);
    for (const waiter of waiters) (await waiter).release();
    expect(granted).to.deep.equal([0, 1, 2, 3, 4]);
    expect([semaphore.available, semaphore.pending]).to.deep.equal([1, 0]);
  });

  it('does not let a newcomer overtake a waiter to whom a place was just given', async () => {
    const semaphore = new Semaphore(1);
    const holder = await semaphore.acquire();
    const { granted, waiters } = queueUp(semaphore, 1);
    holder.release();
    const newcomer = semaphore.acquire();
    await settled();
    expect(granted).to.deep.equal([0]);
    expect(semaphore.pending).to.equal(1);
    (await waiters[0]!).release();
    (await newcomer).release();
  });

  it('takes a permit back once only', async () => {
    const semaphore = new Semaphore(1);
    const first = await semaphore.acquire();
    first.release();
    first.release();
    expect(semaphore.available).to.equal(1);

    const second = await semaphore.acquire();
    const { granted } = queueUp(semaphore, 2);
    first.release();
    await settled();
    expect(granted).to.deep.equal([]);
    second.release();
    second[Symbol.dispose]();
    await settled();
    expect(granted).to.deep.equal([0]);
  });

  it('takes a permit back when it is disposed of, and when release is called on its own', async () => {
    const semaphore = new Semaphore(2);
    const [one, two] = [await semaphore.acquire(), await semaphore.acquire()];
    one[Symbol.dispose]();
    const { release } = two;
    release();
    expect(semaphore.available).to.equal(2);
  });

  describe('with a signal', () => {
    it('that has fired grants nothing, even when a permit is free', async () => {
      const semaphore = new Semaphore(1);
      const reason = new Error('gave up');
      expect(await rejectionOf(semaphore.acquire(AbortSignal.abort(reason)))).to.equal(reason);
      expect([semaphore.available, semaphore.pending]).to.deep.equal([1, 0]);
    });

    it('that fires rejects the waiter with its reason and gives the place to the next', async () => {
      const semaphore = new Semaphore(1);
      const holder = await semaphore.acquire();
      const controller = new AbortController();
      const aborted = semaphore.acquire(controller.signal);
      const { granted } = queueUp(semaphore, 2);
      const reason = { any: 'value' };
      controller.abort(reason);
      expect(await rejectionOf(aborted)).to.equal(reason);
      expect(semaphore.pending).to.equal(2);
      holder.release();
      await settled();
      expect(granted).to.deep.equal([0]);
    });

    for (const position of [0, 1, 2]) {
      it(`keeps the order of the others when the waiter at ${position} of three leaves`, async () => {
        const semaphore = new Semaphore(1);
        const holder = await semaphore.acquire();
        const controller = new AbortController();
        const granted: number[] = [];
        const waiters = [0, 1, 2].map(async (index) => {
          const permit = await semaphore.acquire(index === position ? controller.signal : undefined);
          granted.push(index);
          permit.release();
        });
        const results = Promise.allSettled(waiters);
        controller.abort();
        holder.release();
        await results;
        expect(granted).to.deep.equal([0, 1, 2].filter((index) => index !== position));
        // The ends of the queue are in order too.
        const again = await semaphore.acquire();
        const { granted: more } = queueUp(semaphore, 2);
        again.release();
        await settled();
        expect(more).to.deep.equal([0]);
      });
    }

    it('that fires after the grant changes nothing', async () => {
      const semaphore = new Semaphore(1);
      const controller = new AbortController();
      const holder = await semaphore.acquire(controller.signal);
      const waiter = semaphore.acquire(controller.signal);
      holder.release();
      controller.abort();
      (await waiter).release();
      expect([semaphore.available, semaphore.pending]).to.deep.equal([1, 0]);
    });

    it('leaves no listener behind: not when granted at once, after waiting, or when aborted', async () => {
      const semaphore = new Semaphore(1);
      const controller = new AbortController();
      const { signal } = controller;
      const holder = await semaphore.acquire(signal);
      expect(listeners(signal)).to.equal(0);

      const { waiters } = queueUp(semaphore, 2, signal);
      expect(listeners(signal)).to.equal(2);
      holder.release();
      expect(listeners(signal)).to.equal(1);
      (await waiters[0]!).release();
      expect(listeners(signal)).to.equal(0);

      const last = rejectionOf(semaphore.acquire(signal));
      expect(listeners(signal)).to.equal(1);
      controller.abort();
      await last;
      expect(listeners(signal)).to.equal(0);
    });

    it('that has fired is not kept alive', async () => {
      const semaphore = new Semaphore(1);
      const holder = await semaphore.acquire();
      const abandon = async () => {
        const controller = new AbortController();
        const waiter = semaphore.acquire(controller.signal);
        controller.abort();
        await rejectionOf(waiter);
        return new WeakRef(controller.signal);
      };
      const signal = await abandon();
      await settled();
      collectGarbage();
      expect(signal.deref()).to.equal(undefined);
      holder.release();
    });

    it('lets 10 000 waiters with a signal each leave from the back to the front', async () => {
      const semaphore = new Semaphore(1);
      const holder = await semaphore.acquire();
      const controllers = Array.from({ length: 10_000 }, () => new AbortController());
      const waiters = controllers.map(({ signal }) => semaphore.acquire(signal));
      const results = Promise.allSettled(waiters);
      for (const controller of controllers.reverse()) controller.abort();
      expect(semaphore.pending).to.equal(0);
      await results;
      holder.release();
      expect(semaphore.available).to.equal(1);
    });
  });

  it('agrees with a plain list in any mix of asking, releasing and aborting', async () => {
    const random = seededRandom(1);
    for (let round = 0; round < 50; round += 1) {
      const limit = 1 + below(4, random);
      const semaphore = new Semaphore(limit);
      const controllers = Array.from({ length: 3 }, () => new AbortController());
      const held = new Map<number, Permit>();
      const rejected = new Set<number>();
      const model = {
        held: new Set<number>(),
        queue: [] as { id: number; signal: AbortSignal | undefined }[],
      };
      for (let id = 0; id < 60; id += 1) {
        const choice = random();
        if (choice < 0.55) {
          const signal = controllers[below(4, random)]?.signal;
          semaphore.acquire(signal).then(
            (permit) => held.set(id, permit),
            () => rejected.add(id),
          );
          if (signal?.aborted !== true) model.queue.push({ id, signal });
        } else if (choice < 0.95) {
          const [first] = held.keys();
          if (first !== undefined) {
            held.get(first)?.release();
            held.delete(first);
            model.held.delete(first);
          }
        } else {
          const controller = controllers[below(3, random)];
          controller?.abort();
          model.queue = model.queue.filter(({ signal }) => signal?.aborted !== true);
        }
        while (model.held.size < limit) {
          const next = model.queue.shift();
          if (next === undefined) break;
          model.held.add(next.id);
        }
        await settled();
        expect([...held.keys()]).to.have.members([...model.held]);
        expect(semaphore.pending).to.equal(model.queue.length);
        expect(semaphore.available).to.equal(limit - model.held.size);
        for (const { signal } of controllers) {
          const waiting = model.queue.filter((waiter) => waiter.signal === signal);
          expect(listeners(signal)).to.equal(waiting.length);
        }
      }
    }
  });

  for (const limit of [0, -1, 1.5, NaN, Infinity, '2']) {
    it(`refuses a limit of ${JSON.stringify(limit)}`, () => {
      expect(() => new Semaphore(limit as number)).to.throw(InvalidOptionError);
    });
  }
});
