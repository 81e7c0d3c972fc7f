import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { AtOnce } from '../../../lib/apiserver/upstream/at-once.js';
import { gate, rejection, turn } from '../../support/dialer.js';

describe('apiserver: how much is asked at once', () => {
  const { signal } = new AbortController();
  /** Something that is under way until it is told to end. */
  function begin(places: AtOnce, given = signal) {
    const over = gate();
    const begun = { isUnderWay: false };
    const ended = places.run(() => {
      begun.isUnderWay = true;
      return over.opened;
    }, given);
    return {
      begun,
      ended,
      end: () => {
        over.open();
        return ended;
      },
    };
  }

  it('is bounded; others wait for their turn, in the order in which they came', async () => {
    const places = new AtOnce({ max: 1, maxWaiting: 2 });
    const [first, second, third] = [begin(places), begin(places), begin(places)];
    await turn();
    expect([first, second, third].map(({ begun }) => begun.isUnderWay)).to.deep.equal([true, false, false]);
    await first.end();
    await turn();
    expect([second, third].map(({ begun }) => begun.isUnderWay)).to.deep.equal([true, false]);
    await second.end();
    await third.end();
    const last = begin(places);
    expect(last.begun.isUnderWay).to.equal(true);
    await last.end();
  });

  it('has only so many waiting', async () => {
    const places = new AtOnce({ max: 1, maxWaiting: 1 });
    const [first, second] = [begin(places), begin(places)];
    expect(await rejection(begin(places).ended)).to.include({ code: 429, reason: 'TooManyRequests' });
    await Promise.all([first.end(), second.end()]);
  });

  it('gives the place back of what fails, and of who gives up waiting', async () => {
    const places = new AtOnce({ max: 1, maxWaiting: 1 });
    const failure = new Error('it failed');
    expect(await rejection(places.run(() => Promise.reject(failure), signal))).to.equal(failure);
    const first = begin(places);
    const controller = new AbortController();
    const impatient = begin(places, controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await rejection(impatient.ended)).to.equal(reason);
    const second = begin(places);
    await first.end();
    await second.end();
    expect(impatient.begun.isUnderWay).to.equal(false);
  });

  it('leaves no listener behind', async () => {
    const controller = new AbortController();
    const places = new AtOnce({ max: 1, maxWaiting: 1 });
    const [first, second] = [begin(places, controller.signal), begin(places, controller.signal)];
    await Promise.all([first.end(), second.end()]);
    expect(getEventListeners(controller.signal, 'abort')).to.deep.equal([]);
  });
});
