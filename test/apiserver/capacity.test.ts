import { expect } from 'chai';
import { Capacity, isWatch } from '../../lib/apiserver/capacity.js';
import type { StatusError } from '../../lib/apiserver/status-error.js';
import { InvalidOptionError } from '../../lib/errors.js';
import { gate, rejection } from '../support/dialer.js';

describe('apiserver: how many requests there are at once', () => {
  let now: number;
  beforeEach(() => (now = 0));

  const make = (maxRequests = 2, maxLongRunning = 2): Capacity =>
    new Capacity({ maxRequests, maxLongRunning }, () => now);
  /** A request that is under way until it is told to end. */
  function begin(capacity: Capacity, kind: 'short' | 'long-running', answer = { writableEnded: false }) {
    const over = gate();
    const ended = capacity.run(kind, answer, () => over.opened);
    // One that is refused is looked at by the test, or not at all.
    ended.catch(() => undefined);
    return {
      ended,
      answer,
      end: () => {
        over.open();
        return ended;
      },
    };
  }
  const refusal = (request: { ended: Promise<void> }) => rejection<StatusError>(request.ended);

  it('is bounded, and one more is refused, to be tried again in a second', async () => {
    const capacity = make();
    const first = begin(capacity, 'short');
    const second = begin(capacity, 'short');
    expect(await refusal(begin(capacity, 'short'))).to.deep.include({
      code: 429,
      reason: 'TooManyRequests',
      details: { retryAfterSeconds: 1 },
    });
    await first.end();
    const third = begin(capacity, 'short');
    await Promise.all([second.end(), third.end()]);
  });

  it('is bounded apart for those that may never end, and neither keeps the other out', async () => {
    const capacity = make(1, 1);
    const long = begin(capacity, 'long-running');
    const short = begin(capacity, 'short');
    expect(await refusal(begin(capacity, 'long-running'))).to.include({ code: 429 });
    expect(await refusal(begin(capacity, 'short'))).to.include({ code: 429 });
    await Promise.all([long.end(), short.end()]);
    await Promise.all([begin(capacity, 'long-running').end(), begin(capacity, 'short').end()]);
  });

  it('gives back the place of one that fails', async () => {
    const capacity = make(1);
    const failure = new Error('it failed');
    for (let round = 0; round < 3; round += 1)
      expect(await rejection(capacity.run('short', undefined, () => Promise.reject(failure)))).to.equal(
        failure,
      );
  });

  it('counts one that takes a minute among those that may never end, whatever it said that it is', async () => {
    const capacity = make(1, 1);
    const slow = begin(capacity, 'short');
    now = 59_999;
    expect(await refusal(begin(capacity, 'short'))).to.include({ code: 429 });
    now = 60_000;
    const next = begin(capacity, 'short');
    expect(await refusal(begin(capacity, 'long-running'))).to.include({ code: 429 });
    await slow.end();
    await begin(capacity, 'long-running').end();
    await next.end();
  });

  it('keeps one that takes a minute where it is when there is no room among those that may never end', async () => {
    const capacity = make(1, 1);
    const slow = begin(capacity, 'short');
    const long = begin(capacity, 'long-running');
    now = 60_000;
    expect(await refusal(begin(capacity, 'short'))).to.include({ code: 429 });
    await Promise.all([slow.end(), long.end()]);
  });

  for (const kind of ['short', 'long-running'] as const)
    it(`does not count one whose client only has to read the answer: ${kind}`, async () => {
      const capacity = make(2, 2);
      const first = begin(capacity, kind);
      const unread = begin(capacity, kind);
      unread.answer.writableEnded = true;
      const third = begin(capacity, kind);
      expect(await refusal(begin(capacity, kind))).to.include({ code: 429 });
      // It has given its place back already.
      await unread.end();
      expect(await refusal(begin(capacity, kind))).to.include({ code: 429 });
      await Promise.all([first.end(), third.end()]);
    });

  for (const [option, value] of [
    ['maxRequests', 0],
    ['maxLongRunning', 1.5],
    ['maxLongrunning', 1],
  ] as const)
    it(`refuses ${option}: ${value}`, () => {
      expect(() => new Capacity({ [option]: value })).to.throw(InvalidOptionError, option);
    });
});

describe('apiserver: a watch', () => {
  for (const [url, expected] of [
    ['/api/v1/pods?watch=true', true],
    ['/api/v1/pods?limit=1&watch=1', true],
    ['/api/v1/pods?watch=', true],
    ['/api/v1/pods?%77atch=true', true],
    ['/api/v1/watch/pods', true],
    ['/apis/apps/v1/watch/namespaces/a/deployments', true],
    ['/api/v1/pods', false],
    ['/api/v1/pods?watch=false', false],
    ['/api/v1/pods?watch=0', false],
    ['/api/v1/pods?labelSelector=watch', false],
    ['/api/v1/namespaces/watch/pods', false],
  ] as const)
    it(`${expected ? 'is' : 'is not'} ${url}`, () => {
      const [path = '', query] = url.split('?');
      expect(isWatch(path, query === undefined ? '' : `?${query}`)).to.equal(expected);
    });
});
