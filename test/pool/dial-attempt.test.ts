import { expect } from 'chai';
import { EventEmitter, getEventListeners } from 'node:events';
import sinon, { type SinonFakeTimers } from 'sinon';
import { DialTimeoutError, type DialPhase } from '../../lib/errors.js';
import { DialAttempt, type DialAttemptOptions } from '../../lib/pool/dial-attempt.js';

describe('DialAttempt', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    clock.restore();
  });

  const begin = (options: Partial<DialAttemptOptions> = {}) =>
    new DialAttempt({ host: '10.0.0.1', port: 10250, allowHalfOpen: false, timeoutMs: 1000, ...options });

  it('goes on until something ends it', () => {
    const attempt = begin();
    clock.tick(999);
    expect(attempt.signal.aborted).to.equal(false);
    expect(attempt.timedOut).to.equal(false);
    attempt[Symbol.dispose]();
  });

  const phases: [phase: DialPhase, said: RegExp][] = [
    ['queue', /free channel.*maxConnections/],
    ['connect', /still connecting/],
    ['open', /dropping packets/],
  ];
  for (const [phase, said] of phases) {
    it(`times out in the phase ${phase} with what it waited for, and where`, () => {
      const attempt = begin();
      attempt.phase = phase;
      attempt.node = 'node-1';
      clock.tick(1000);
      const reason = attempt.signal.reason as DialTimeoutError;
      expect(reason).to.be.an.instanceOf(DialTimeoutError);
      expect(reason).to.include({ code: 'ETIMEDOUT', phase, node: 'node-1', host: '10.0.0.1', port: 10250 });
      expect(reason.message).to.match(said).and.include('10.0.0.1:10250 through node-1 within 1000 ms');
      expect(attempt.timedOut).to.equal(true);
    });
  }

  it('names no node before it is at one', () => {
    const attempt = begin();
    clock.tick(1000);
    expect((attempt.signal.reason as Error).message).to.include('no stream to 10.0.0.1:10250 within');
  });

  it("ends with the reason of the caller's signal", () => {
    const controller = new AbortController();
    const attempt = begin({ signal: controller.signal });
    const reason = { any: 'thing' };
    controller.abort(reason);
    expect(attempt.signal.reason).to.equal(reason);
    expect(attempt.timedOut).to.equal(false);
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
    const attempt = begin({ signal: polyfill as unknown as AbortSignal });
    polyfill.reason = 'enough';
    listeners.emit('abort');
    expect(attempt.signal.reason).to.equal('enough');
    attempt[Symbol.dispose]();
    expect(listeners.listenerCount('abort')).to.equal(0);
  });

  it('ends once: what comes first is the reason', () => {
    const controller = new AbortController();
    const attempt = begin({ signal: controller.signal });
    attempt.abort('first');
    controller.abort('second');
    clock.tick(1000);
    expect(attempt.signal.reason).to.equal('first');
  });

  it('lets go of its deadline and of the signal when it is over, and hears neither any more', () => {
    const controller = new AbortController();
    const attempt = begin({ signal: controller.signal });
    attempt[Symbol.dispose]();
    expect(clock.countTimers()).to.equal(0);
    expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    controller.abort();
    expect(attempt.signal.aborted).to.equal(false);
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
    for (const attempt of attempts) attempt[Symbol.dispose]();
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });
});
