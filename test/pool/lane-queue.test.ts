import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import sinon from 'sinon';
import { PoolExhaustedError } from '../../lib/errors.js';
import { LaneQueue, type LaneQueueOptions } from '../../lib/pool/lane-queue.js';
import { rejection, turn, turns, unhandledDuring } from '../support/dialer.js';

interface Lane {
  readonly number: number;
}

const never = (): AbortSignal => new AbortController().signal;

describe('LaneQueue', () => {
  /** A queue over numbered lanes, of which there is room for `room`. */
  function create(options: Partial<LaneQueueOptions<Lane>> & { room?: number } = {}) {
    const world = {
      room: options.room ?? Infinity,
      made: 0,
      destroyed: [] as number[],
      invalid: new Set<Lane>(),
    };
    const queue = new LaneQueue<Lane>({
      max: 2,
      maxQueue: 10,
      idleTimeoutMs: 60_000,
      create: () => {
        if (world.made >= world.room) return undefined;
        world.made += 1;
        return { number: world.made };
      },
      validate: (lane) => !world.invalid.has(lane),
      destroy: ({ number }) => void world.destroyed.push(number),
      ...options,
    });
    const granted: string[] = [];
    /** A named dial that waits for a lane. */
    const ask = (name: string, signal = never()) => {
      const lane = queue.acquire(signal);
      lane.then(
        () => granted.push(name),
        () => undefined,
      );
      return lane;
    };
    return { world, queue, granted, ask };
  }

  it('makes lanes as they are wanted, and lends one again that was given back', async () => {
    const { world, queue, ask } = create();
    const first = await ask('a');
    expect([world.made, queue.borrowed]).to.deep.equal([1, 1]);
    queue.release(first);
    expect(await ask('b')).to.equal(first);
    expect(world.made).to.equal(1);
    queue.release(first);
    await queue.close();
  });

  it('makes many lanes at once', async () => {
    const { world, queue, ask } = create({ max: 50 });
    const lanes = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(String(index))));
    expect(new Set(lanes).size).to.equal(50);
    expect([world.made, queue.borrowed, queue.pending]).to.deep.equal([50, 50, 0]);
    for (const lane of lanes) queue.release(lane);
    await queue.close();
  });

  it('has those above the limit wait, and serves them in turn', async () => {
    const { queue, granted, ask } = create();
    const held = [await ask('a'), await ask('b')];
    const waiting = ['c', 'd', 'e'].map((name) => ask(name));
    await turn();
    expect(granted).to.deep.equal(['a', 'b']);
    expect(queue.pending).to.equal(3);
    queue.release(held[0]!);
    await turn();
    expect(granted).to.deep.equal(['a', 'b', 'c']);
    queue.release(held[1]!);
    queue.release(await waiting[0]!);
    await turn();
    expect(granted).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    for (const lane of await Promise.all(waiting.slice(1))) queue.release(lane);
    await queue.close();
  });

  it('refuses when too many wait, and takes dials again when fewer do', async () => {
    const { queue, ask } = create({ maxQueue: 1 });
    const held = [await ask('a'), await ask('b')];
    const waiting = ask('c');
    const error = await rejection(ask('d'));
    expect(error).to.be.an.instanceOf(PoolExhaustedError);
    expect(error.message).to.include('all 2 channels').and.include('1 dials wait');
    queue.release(held[0]!);
    await waiting;
    const next = ask('e');
    queue.release(held[1]!);
    for (const lane of await Promise.all([waiting, next])) queue.release(lane);
    await queue.close();
  });

  it('refuses at once with a queue of none', async () => {
    const { queue, ask } = create({ max: 1, maxQueue: 0 });
    const lane = await ask('a');
    expect(await rejection(ask('b'))).to.be.an.instanceOf(PoolExhaustedError);
    queue.release(lane);
    queue.release(await ask('c'));
    await queue.close();
  });

  it('counts those who wait for a lane to be made as waiting, too', async () => {
    const { world, queue, ask } = create({ max: 1, maxQueue: 1, room: 0 });
    const [first, second] = [ask('a'), ask('b')];
    expect(await rejection(ask('c'))).to.be.an.instanceOf(PoolExhaustedError);
    expect([queue.pending, queue.needsRoom]).to.deep.equal([2, true]);
    world.room = 1;
    queue.roomAppeared();
    queue.release(await first);
    queue.release(await second);
    await queue.close();
  });

  describe('a waiter that gives up', () => {
    it('is rejected with the reason of its signal, and gives its place to the next', async () => {
      const { queue, granted, ask } = create({ max: 1 });
      const lane = await ask('a');
      const controller = new AbortController();
      const b = ask('b', controller.signal);
      const c = ask('c');
      const reason = new Error('enough');
      controller.abort(reason);
      expect(await rejection(b)).to.equal(reason);
      expect(queue.pending).to.equal(1);
      queue.release(lane);
      await c;
      expect(granted).to.deep.equal(['a', 'c']);
      queue.release(lane);
      await queue.close();
    });

    it('leaves no listener on its signal, and neither does one that is served or refused', async () => {
      const { queue, ask } = create({ max: 1, maxQueue: 1 });
      const signals = Array.from({ length: 4 }, () => new AbortController());
      const lane = await ask('served', signals[0]!.signal);
      const given = rejection(ask('given up', signals[1]!.signal));
      await rejection(ask('refused', signals[2]!.signal));
      signals[1]!.abort();
      await given;
      signals[3]!.abort();
      await rejection(ask('aborted before', signals[3]!.signal));
      for (const { signal } of signals) expect(getEventListeners(signal, 'abort')).to.have.length(0);
      queue.release(lane);
      await queue.close();
    });

    it('leaves the lane that would have been its own for others', async () => {
      const { world, queue, ask } = create({ max: 1 });
      const lane = await ask('a');
      const controller = new AbortController();
      const b = rejection(ask('b', controller.signal));
      controller.abort();
      await b;
      queue.release(lane);
      await turns(2);
      expect(queue.borrowed).to.equal(0);
      expect(await ask('c')).to.equal(lane);
      expect(world.made).to.equal(1);
      queue.release(lane);
      await queue.close();
    });

    it('needs no room any more', async () => {
      const { queue, ask } = create({ room: 0 });
      const controller = new AbortController();
      const a = rejection(ask('a', controller.signal));
      expect(queue.needsRoom).to.equal(true);
      controller.abort();
      await a;
      expect(queue.needsRoom).to.equal(false);
      await queue.close();
    });

    it('at any moment loses no lane', async () => {
      const { world, queue, ask } = create({ max: 3, maxQueue: 1000 });
      const held: Lane[] = [];
      for (let round = 0; round < 1000; round += 1) {
        const controller = new AbortController();
        const dial = ask(String(round), controller.signal).then(
          (lane) => void held.push(lane),
          () => undefined,
        );
        for (let ticks = round % 12; ticks > 0; ticks -= 1) await Promise.resolve();
        controller.abort();
        if (round % 3 === 0) for (const lane of held.splice(0)) queue.release(lane);
        if (round % 3 === 0) await dial;
      }
      await turn();
      for (const lane of held.splice(0)) queue.release(lane);
      await turns(2);
      expect([queue.borrowed, queue.pending]).to.deep.equal([0, 0]);
      expect(world.made).to.be.at.most(3);
      const lanes = await Promise.all(['x', 'y', 'z'].map((name) => ask(name)));
      for (const lane of lanes) queue.release(lane);
      await queue.close();
    });
  });

  describe('a lane that cannot be made', () => {
    it('is made as soon as there is room, for those who have waited longest', async () => {
      const { world, queue, granted, ask } = create({ max: 3, room: 0 });
      const waiting = ['a', 'b', 'c'].map((name) => ask(name));
      await turns(3);
      expect(granted).to.deep.equal([]);
      world.room = 2;
      queue.roomAppeared();
      await turn();
      expect(granted).to.deep.equal(['a', 'b']);
      expect([world.made, queue.needsRoom]).to.deep.equal([2, true]);
      queue.release(await waiting[0]!);
      queue.release(await waiting[2]!);
      queue.release(await waiting[1]!);
      await queue.close();
    });

    it('does not keep a lane that is given back from those who wait', async () => {
      const { world, queue, granted, ask } = create({ max: 2, room: 1 });
      const lane = await ask('a');
      const b = ask('b');
      expect(queue.needsRoom).to.equal(true);
      queue.release(lane);
      expect(await b).to.equal(lane);
      expect([granted, world.made]).to.deep.equal([['a', 'b'], 1]);
      queue.release(lane);
      await queue.close();
    });

    it('does not make the process busy while it waits', async () => {
      let asked = 0;
      const makeNone = (): undefined => {
        asked += 1;
        return undefined;
      };
      const { queue, ask } = create({ create: makeNone });
      const controller = new AbortController();
      const waiting = rejection(ask('a', controller.signal));
      await turns(50);
      expect(asked).to.equal(1);
      controller.abort();
      await waiting;
      await queue.close();
    });
  });

  describe('a lane that is of no use any more', () => {
    it('is not lent again: another is made', async () => {
      const { world, queue, ask } = create();
      const lane = await ask('a');
      queue.release(lane);
      world.invalid.add(lane);
      const other = await ask('b');
      expect(other).to.not.equal(lane);
      expect(world.destroyed).to.deep.equal([lane.number]);
      queue.release(other);
      await queue.close();
    });

    it('can be given back as such, and makes place for another', async () => {
      const { world, queue, ask } = create({ max: 1 });
      const lane = await ask('a');
      const b = ask('b');
      queue.discard(lane);
      expect(await b).to.not.equal(lane);
      expect(world.destroyed).to.deep.equal([1]);
      queue.release(await b);
      await queue.close();
    });
  });

  describe('idle lanes', () => {
    let clock: sinon.SinonFakeTimers;

    beforeEach(() => {
      clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    });

    afterEach(() => {
      clock.restore();
    });

    it('are destroyed after a time', async () => {
      const { world, queue, ask } = create({ idleTimeoutMs: 1000 });
      queue.release(await ask('a'));
      await turn();
      clock.tick(999);
      expect(world.destroyed).to.deep.equal([]);
      clock.tick(1001);
      expect(world.destroyed).to.deep.equal([1]);
      await queue.close();
    });

    it('are destroyed though others are in use', async () => {
      const { world, queue, ask } = create({ idleTimeoutMs: 1000 });
      const [used, idle] = [await ask('a'), await ask('b')];
      queue.release(idle);
      await turn();
      clock.tick(2000);
      expect(world.destroyed).to.deep.equal([idle.number]);
      queue.release(used);
      await queue.close();
    });

    it('are lent last in, first out, so that the others fall idle', async () => {
      const { queue, ask } = create({ max: 3 });
      const lanes = [await ask('a'), await ask('b'), await ask('c')];
      for (const lane of lanes) queue.release(lane);
      for (let times = 0; times < 3; times += 1) {
        const lane = await ask('d');
        expect(lane).to.equal(lanes[2]);
        queue.release(lane);
      }
      await queue.close();
    });

    it('leave no timer when the queue is closed, or was never used', async () => {
      const { queue, ask } = create();
      expect(clock.countTimers()).to.equal(0);
      queue.release(await ask('a'));
      expect(clock.countTimers()).to.be.above(0);
      await queue.close();
      expect(clock.countTimers()).to.equal(0);
    });
  });

  describe('close', () => {
    it('ends though lanes were waited for by dials that have given up', async () => {
      const { queue, ask } = create({ max: 5, room: 0 });
      const unhandled = await unhandledDuring(async () => {
        const controller = new AbortController();
        const dials = ['a', 'b', 'c'].map((name) => rejection(ask(name, controller.signal)));
        controller.abort();
        await Promise.all(dials);
        await queue.close();
        await turns(3);
      });
      expect(unhandled).to.deep.equal([]);
    });

    it('waits for lanes that are lent', async () => {
      const { queue, ask } = create();
      const lane = await ask('a');
      let closed = false;
      const closing = queue.close().then(() => (closed = true));
      await turns(3);
      expect(closed).to.equal(false);
      queue.release(lane);
      await closing;
    });
  });
});
