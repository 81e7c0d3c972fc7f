import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { unlessAborted } from '../lib/unless-aborted.js';
import { rejection, unhandledDuring } from './support/dialer.js';

describe('unlessAborted', () => {
  const reason = new Error('enough');

  it('gives what the promise gives, and leaves no listener', async () => {
    const { signal } = new AbortController();
    expect(await unlessAborted(Promise.resolve(5), signal)).to.equal(5);
    expect(await rejection(unlessAborted(Promise.reject(reason), signal))).to.equal(reason);
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it('rejects with the reason as soon as the signal fires', async () => {
    const controller = new AbortController();
    const waiting = rejection(unlessAborted(new Promise(() => undefined), controller.signal));
    controller.abort(reason);
    expect(await waiting).to.equal(reason);
    expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
  });

  it('rejects with the reason when the signal has fired before', async () => {
    expect(await rejection(unlessAborted(Promise.resolve(5), AbortSignal.abort(reason)))).to.equal(reason);
  });

  it('leaves no rejection unhandled of a promise that it no longer waits for', async () => {
    const unhandled = await unhandledDuring(async () => {
      const controller = new AbortController();
      let fail: (error: Error) => void = () => undefined;
      const waiting = rejection(
        unlessAborted(new Promise((_resolve, reject) => (fail = reject)), controller.signal),
      );
      controller.abort(reason);
      await waiting;
      fail(new Error('late'));
    });
    expect(unhandled).to.deep.equal([]);
  });

  it('leaves none unhandled either when the signal has fired before', async () => {
    const unhandled = await unhandledDuring(async () => {
      await rejection(unlessAborted(Promise.reject(new Error('late')), AbortSignal.abort(reason)));
    });
    expect(unhandled).to.deep.equal([]);
  });
});
