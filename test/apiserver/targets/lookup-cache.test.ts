import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import sinon from 'sinon';
import { LookupCache } from '../../../lib/apiserver/targets/lookup-cache.js';
import { rejection, turn } from '../../support/dialer.js';

describe('apiserver: the cache of lookups', () => {
  let clock: sinon.SinonFakeTimers;
  let asked: {
    readonly signal: AbortSignal;
    answer: (value: string | undefined) => void;
    fail: (error: Error) => void;
  }[];

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['performance'] });
    asked = [];
  });
  afterEach(() => clock.restore());

  const ask = (signal: AbortSignal): Promise<string | undefined> =>
    new Promise((answer, fail) => {
      asked.push({ signal, answer, fail });
      signal.addEventListener('abort', () => fail(signal.reason as Error));
    });
  const make = (max = 10): LookupCache<string> => new LookupCache({ cacheMs: 5000, max });
  const get = (cache: LookupCache<string>, key = 'key', signal?: AbortSignal): Promise<string | undefined> =>
    cache.get(key, ask, { signal });
  const known = async (cache: LookupCache<string>, key: string): Promise<void> => {
    const promise = get(cache, key);
    asked.at(-1)?.answer(key);
    await promise;
  };

  it('asks once for all who want to know the same at once', async () => {
    const cache = make();
    const all = [get(cache), get(cache), get(cache)];
    expect(asked).to.have.length(1);
    asked[0]?.answer('value');
    expect(await Promise.all(all)).to.deep.equal(['value', 'value', 'value']);
  });

  it('asks apart for different things', () => {
    const cache = make();
    void get(cache, 'a');
    void get(cache, 'b');
    expect(asked).to.have.length(2);
  });

  it('does not ask again until the answer is old', async () => {
    const cache = make();
    await known(cache, 'key');
    clock.tick(4999);
    expect(await get(cache)).to.equal('key');
    clock.tick(1);
    const again = get(cache);
    expect(asked).to.have.length(2);
    asked[1]?.answer('newer');
    expect(await again).to.equal('newer');
    clock.tick(4999);
    expect(await get(cache)).to.equal('newer');
  });

  it('asks again when there was nothing', async () => {
    const cache = make();
    const nothing = [get(cache), get(cache)];
    asked[0]?.answer(undefined);
    expect(await Promise.all(nothing)).to.deep.equal([undefined, undefined]);
    void get(cache);
    expect(asked).to.have.length(2);
  });

  it('asks again when it was refused, of which all hear who were waiting', async () => {
    const cache = make();
    const failing = [rejection(get(cache)), rejection(get(cache))];
    const error = new Error('forbidden');
    asked[0]?.fail(error);
    expect(await Promise.all(failing)).to.deep.equal([error, error]);
    void get(cache);
    expect(asked).to.have.length(2);
  });

  it('lets one who gives up go alone', async () => {
    const cache = make();
    const giveUp = new AbortController();
    const [one, other] = [rejection(get(cache, 'key', giveUp.signal)), get(cache)];
    const reason = new Error('changed my mind');
    giveUp.abort(reason);
    expect(await one).to.equal(reason);
    expect(asked[0]?.signal.aborted).to.equal(false);
    asked[0]?.answer('value');
    expect(await other).to.equal('value');
  });

  it('gives the question up with the last who waits, and the next one asks anew', async () => {
    const cache = make();
    const [one, other] = [new AbortController(), new AbortController()];
    const waiting = [rejection(get(cache, 'key', one.signal)), rejection(get(cache, 'key', other.signal))];
    one.abort();
    other.abort();
    await Promise.all(waiting);
    expect(asked[0]?.signal.aborted).to.equal(true);
    const again = get(cache);
    expect(asked).to.have.length(2);
    asked[1]?.answer('value');
    expect(await again).to.equal('value');
    expect(await get(cache)).to.equal('value');
  });

  it('does not believe an answer that comes when it was given up', async () => {
    const cache = make();
    const giveUp = new AbortController();
    const one = rejection(
      cache.get('key', () => new Promise((answer) => asked.push({ answer } as never)), giveUp),
    );
    giveUp.abort();
    await one;
    asked[0]?.answer('late');
    await turn();
    void get(cache);
    expect(asked).to.have.length(2);
  });

  it('does not ask for one who has given up before', async () => {
    const reason = new Error('changed my mind');
    expect(await rejection(get(make(), 'key', AbortSignal.abort(reason)))).to.equal(reason);
    expect(asked).to.have.length(0);
  });

  it('leaves no listener on a signal', async () => {
    const cache = make();
    const { signal } = new AbortController();
    const one = get(cache, 'key', signal);
    asked[0]?.answer('value');
    await one;
    await get(cache, 'key', signal);
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it('forgets the oldest answers when there are too many', async () => {
    const cache = make(2);
    for (const key of ['a', 'b', 'c']) await known(cache, key);
    expect(await get(cache, 'b')).to.equal('b');
    expect(await get(cache, 'c')).to.equal('c');
    void get(cache, 'a');
    expect(asked).to.have.length(4);
  });

  it('takes an answer that was renewed for a young one', async () => {
    const cache = make(2);
    await known(cache, 'a');
    clock.tick(3000);
    await known(cache, 'b');
    clock.tick(2000);
    await known(cache, 'a');
    await known(cache, 'c');
    expect(await get(cache, 'a')).to.equal('a');
    void get(cache, 'b');
    expect(asked).to.have.length(5);
  });

  it('does not take those who have had their answer for those who wait for the next one', async () => {
    for (let delay = 0; delay < 10; delay += 1) {
      asked.length = 0;
      const cache = make();
      void get(cache);
      asked[0]?.answer(undefined);
      for (let left = delay; left > 0; left -= 1) await Promise.resolve();
      void get(cache);
      await turn();
      void get(cache);
      expect(asked, `after ${delay} turns`).to.have.length(2);
    }
  });

  it('keeps nothing when it is to keep nothing, but still asks once for all', async () => {
    const cache = new LookupCache<string>({ cacheMs: 0, max: 10 });
    const all = [get(cache), get(cache)];
    asked[0]?.answer('value');
    await Promise.all(all);
    void get(cache);
    expect(asked).to.have.length(2);
  });
});
