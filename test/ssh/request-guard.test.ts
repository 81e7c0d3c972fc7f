import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import { RequestGuard } from '../../lib/ssh/request-guard.js';

describe('RequestGuard', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['performance'] });
  });

  afterEach(() => {
    clock.restore();
  });

  function create() {
    const problems: string[] = [];
    const guard = new RequestGuard((problem) => void problems.push(problem));
    return { guard, problems };
  }

  it('lets a node ask once a second for ever', () => {
    const { guard, problems } = create();
    for (let seconds = 0; seconds < 10_000; seconds += 1) {
      guard.onGlobalRequest();
      clock.tick(1000);
    }
    expect(problems).to.deep.equal([]);
  });

  it('lets a node ask a hundred times at once, and no more', () => {
    const { guard, problems } = create();
    for (let requests = 0; requests < 100; requests += 1) guard.onGlobalRequest();
    expect(problems).to.deep.equal([]);
    guard.onGlobalRequest();
    expect(problems).to.deep.equal(['made more than 100 requests in 10 s']);
  });

  it('forgets what is long ago', () => {
    const { guard, problems } = create();
    for (let rounds = 0; rounds < 5; rounds += 1) {
      for (let requests = 0; requests < 100; requests += 1) guard.onGlobalRequest();
      clock.tick(10_001);
    }
    expect(problems).to.deep.equal([]);
  });

  it('lets a node open no channel', () => {
    const { guard, problems } = create();
    guard.onChannelOpen();
    expect(problems).to.deep.equal(['opened a channel, which only we do']);
  });
});
