import { expect } from 'chai';
import { EventEmitter, getEventListeners } from 'node:events';
import sinon, { type SinonFakeTimers } from 'sinon';
import { DialTimeoutError, type DialPhase } from '../../lib/errors.js';
import { Dial, DialAttempt, type DialSpec } from '../../lib/pool/dial.js';

describe('Dial', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    clock.restore();
  });

  const begin = (options: Partial<DialSpec> = {}) =>
    new Dial({ host: '10.0.0.1', port: 10250, allowHalfOpen: false, timeoutMs: 1000, ...options });

  it('goes on until something ends it', () => {
    const dial = begin();
    clock.tick(999);
    expect(dial.signal.aborted).to.equal(false);
    dial[Symbol.dispose]();
  });

  const phases: [phase: DialPhase, said: RegExp][] = [
    ['queue', /free channel.*maxConnections/],
    ['connect', /still connecting/],
    ['open', /dropping packets/],
  ];
  for (const [phase, said] of phases) {
    it(`times out in the phase ${phase} with what it waited for, and where`, () => {
      const dial = begin();
      const attempt = new DialAttempt(dial, 'node-1', '127.0.0.1');
      attempt.phase = phase;
      clock.tick(1000);
      const reason = dial.signal.reason as DialTimeoutError;
      expect(reason).to.be.an.instanceOf(DialTimeoutError);
      expect(reason).to.include({ code: 'ETIMEDOUT', phase, node: 'node-1', host: '127.0.0.1', port: 10250 });
      expect(reason.message).to.match(said).and.include('127.0.0.1:10250 through node-1 within 1000 ms');
      expect(attempt.timedOut).to.equal(true);
      expect(attempt.signal.reason).to.equal(reason);
    });
  }

  it('names no node before it is at one', () => {
    const dial = begin();
    clock.tick(1000);
    expect((dial.signal.reason as Error).message).to.include('no stream to 10.0.0.1:10250 within');
  });

  it("ends with the reason of the caller's signal", () => {
    const controller = new AbortController();
    const dial = begin({ signal: controller.signal });
    const reason = { any: 'thing' };
    controller.abort(reason);
    expect(dial.signal.reason).to.equal(reason);
  });

  it('has ended when it begins with a signal that was aborted', () => {
    const reason = new Error('enough');
    expect(begin({ signal: AbortSignal.abort(reason) }).signal.reason).to.equal(reason);
  });

  it('takes a signal of another realm or a polyfill', () => {
    const listeners = new EventEmitter();
    const polyfill = {
      aborted: false,
      reason: undefined as unknown,
      addEventListener: (name: string, listener: () => void) => listeners.on(name, listener),
      removeEventListener: (name: string, listener: () => void) => listeners.off(name, listener),
    };
    const dial = begin({ signal: polyfill as unknown as AbortSignal });
    polyfill.reason = 'enough';
    listeners.emit('abort');
    expect(dial.signal.reason).to.equal('enough');
    dial[Symbol.dispose]();
    expect(listeners.listenerCount('abort')).to.equal(0);
  });

  it('ends once: what comes first is the reason', () => {
    const controller = new AbortController();
    const dial = begin({ signal: controller.signal });
    dial.abort('first');
    controller.abort('second');
    clock.tick(1000);
    expect(dial.signal.reason).to.equal('first');
  });

  it('lets go of its deadline and of the signal when it is over, and hears neither any more', () => {
    const controller = new AbortController();
    const dial = begin({ signal: controller.signal });
    dial[Symbol.dispose]();
    expect(clock.countTimers()).to.equal(0);
    expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    controller.abort();
    expect(dial.signal.aborted).to.equal(false);
  });

  it('may share a signal with many others without a warning', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on('warning', note);
    const { signal } = new AbortController();
    const attempts = Array.from({ length: 50 }, () => begin({ signal }));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).to.deep.equal([]);
    for (const dial of attempts) dial[Symbol.dispose]();
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  describe('an attempt at one node', () => {
    it('ends with the dial, before it has begun or later, until it has let go of it', () => {
      const dial = begin();
      const [attempt, over] = ['a', 'b'].map((node) => new DialAttempt(dial, node, '10.0.0.1'));
      over?.[Symbol.dispose]();
      dial.abort('enough');
      expect(attempt?.signal.reason).to.equal('enough');
      expect(over?.signal.aborted).to.equal(false);
      expect(new DialAttempt(dial, 'c', '10.0.0.1').signal.reason).to.equal('enough');
    });

    it('ends by itself when another was faster, which is no timeout', () => {
      const dial = begin();
      const attempt = new DialAttempt(dial, 'a', '10.0.0.1');
      expect(attempt.wasOvertaken).to.equal(false);
      attempt.overtake();
      expect(attempt).to.include({ wasOvertaken: true, timedOut: false });
      expect(dial.signal.aborted).to.equal(false);
      dial[Symbol.dispose]();
    });

    it('is what the deadline of the dial speaks of, the latest if there are several', () => {
      const dial = begin();
      for (const node of ['a', 'b']) new DialAttempt(dial, node, '10.0.0.1').phase = 'connect';
      clock.tick(1000);
      expect(dial.signal.reason).to.include({ node: 'b', phase: 'connect' });
    });
  });
});
