import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import type { TunnelSocket } from '../../lib/dialer.js';
import {
  AllNodesFailedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  PoolExhaustedError,
  TransportError,
} from '../../lib/errors.js';
import { firstToOpen } from '../../lib/fleet/first-to-open.js';
import type { Node } from '../../lib/fleet/node.js';
import type { Route } from '../../lib/fleet/router.js';
import { Dial, type DialAttempt } from '../../lib/pool/dial.js';
import { rejection, turn } from '../support/dialer.js';

const lost = (node: string) => new TransportError('ERR_TUNNEL_LOST', `${node} was lost`, { node });

describe('firstToOpen', () => {
  let clock: SinonFakeTimers;
  let dial: Dial;
  let tried: string[];
  let pending: Map<string, { resolve: (socket: TunnelSocket) => void; reject: (error: unknown) => void }>;
  let attempts: Map<string, DialAttempt>;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    dial = new Dial({ host: '10.244.1.7', port: 80, allowHalfOpen: false, timeoutMs: 30_000 });
    tried = [];
    pending = new Map();
    attempts = new Map();
  });

  afterEach(() => {
    dial[Symbol.dispose]();
    expect(clock.countTimers()).to.equal(0);
    clock.restore();
  });

  const race = (kind: Route['kind'], ...names: string[]): Promise<TunnelSocket> => {
    const candidates = names.map((name) => ({ node: { name } as Node, host: `${name}.example` }));
    return firstToOpen({
      route: { kind, candidates, cidr: '10.244.0.0/16' },
      dial,
      hedgeAfterMs: 100,
      open: ({ name }, attempt) => {
        tried.push(name);
        attempts.set(name, attempt);
        return new Promise((resolve, reject) => {
          pending.set(name, { resolve, reject });
          attempt.signal.addEventListener('abort', () => reject(attempt.signal.reason));
        });
      },
    });
  };

  const socketOf = (node: string) => {
    const socket = { node, destroyed: false, destroy: () => (socket.destroyed = true) };
    return socket as unknown as TunnelSocket;
  };

  const succeed = (node: string): TunnelSocket => {
    const socket = socketOf(node);
    pending.get(node)?.resolve(socket);
    return socket;
  };

  const fail = async (node: string, error: Error = lost(node)): Promise<void> => {
    pending.get(node)?.reject(error);
    await turn();
  };

  it('asks each candidate for the endpoint as that is called there', () => {
    void race('any', 'a', 'b').catch(() => undefined);
    expect(attempts.get('a')).to.include({ node: 'a', host: 'a.example', port: 80, allowHalfOpen: false });
    dial.abort(new Error('the test is over'));
  });

  it('takes the first candidate if that opens in time', async () => {
    const opened = race('any', 'a', 'b');
    clock.tick(99);
    const socket = succeed('a');
    expect(await opened).to.equal(socket);
    clock.tick(1000);
    expect(tried).to.deep.equal(['a']);
  });

  it('goes on to the next at once when one fails', async () => {
    const opened = race('pod', 'a', 'b', 'c');
    await fail('a');
    await fail('b');
    expect(tried).to.deep.equal(['a', 'b', 'c']);
    succeed('c');
    expect(await opened).to.include({ node: 'c' });
  });

  it('tries the next beside one that hangs, takes what opens first, and gives the other up', async () => {
    const opened = race('any', 'a', 'b', 'c');
    clock.tick(100);
    expect(tried).to.deep.equal(['a', 'b']);
    succeed('b');
    expect(await opened).to.include({ node: 'b' });
    expect(attempts.get('a')?.wasOvertaken).to.equal(true);
    expect(attempts.get('b')?.signal.aborted).to.equal(false);
  });

  it('takes the first after all if that opens first', async () => {
    const opened = race('any', 'a', 'b');
    clock.tick(100);
    succeed('a');
    expect(await opened).to.include({ node: 'a' });
    expect(attempts.get('b')?.wasOvertaken).to.equal(true);
  });

  it('closes a stream that opens together with another', async () => {
    const opened = race('any', 'a', 'b');
    clock.tick(100);
    const [first, second] = [succeed('a'), succeed('b')];
    expect(await opened).to.equal(first);
    await turn();
    expect([first.destroyed, second.destroyed]).to.deep.equal([false, true]);
  });

  it('begins to wait anew with each candidate, as long as there is one left', async () => {
    const opened = race('any', 'a', 'b', 'c');
    clock.tick(60);
    await fail('a');
    clock.tick(60);
    expect(tried).to.deep.equal(['a', 'b']);
    clock.tick(40);
    expect(tried).to.deep.equal(['a', 'b', 'c']);
    clock.tick(1000);
    succeed('b');
    await opened;
  });

  it('tries nothing beside nodes of which each must be the one', async () => {
    const opened = race('node', 'a', 'b');
    clock.tick(10_000);
    expect(tried).to.deep.equal(['a']);
    await fail('a');
    succeed('b');
    expect(await opened).to.include({ node: 'b' });
  });

  it('ends with an answer of the endpoint, and gives up what else is under way', async () => {
    const opened = rejection(race('any', 'a', 'b'));
    clock.tick(100);
    const answer = new EndpointError('ECONNREFUSED', 'refused');
    await fail('b', answer);
    expect(await opened).to.equal(answer);
    expect(attempts.get('a')?.wasOvertaken).to.equal(true);
  });

  it('ends with an error that is none of ours', async () => {
    const opened = rejection(race('any', 'a', 'b'));
    const bug = new TypeError('a bug');
    await fail('a', bug);
    expect(await opened).to.equal(bug);
    expect(tried).to.deep.equal(['a']);
  });

  it('tells every failure, in the order in which the nodes were tried', async () => {
    const opened = rejection<AllNodesFailedError>(race('any', 'a', 'b', 'c'));
    clock.tick(200);
    for (const node of ['c', 'a', 'b']) await fail(node);
    const error = await opened;
    expect(error).to.be.an.instanceOf(AllNodesFailedError).and.include({ host: '10.244.1.7', port: 80 });
    expect(error.errors.map(({ node }) => node)).to.deep.equal(['a', 'b', 'c']);
  });

  it('rejects with what the only candidate failed with', async () => {
    const opened = rejection(race('any', 'a'));
    const failure = lost('a');
    await fail('a', failure);
    expect(await opened).to.equal(failure);
  });

  for (const [kind, failure, goesOn] of [
    ['node', new HostKeyError('unknown', undefined, 'unknown'), false],
    ['pod', new HostKeyError('unknown', undefined, 'unknown'), true],
    ['pod', new PoolExhaustedError('full'), false],
    ['any', new PoolExhaustedError('full'), true],
  ] as const) {
    it(`${goesOn ? 'goes' : 'does not go'} on after ${failure.code} on a route of the kind ${kind}`, async () => {
      const opened = race(kind, 'a', 'b').catch((error: unknown) => error);
      await fail('a', failure);
      if (goesOn) succeed('b');
      expect(await opened).to.satisfy((outcome: unknown) => (outcome === failure) !== goesOn);
    });
  }

  it('lets go of the dial with each candidate that is over', async () => {
    const opened = race('any', 'a', 'b', 'c');
    await fail('a');
    await fail('b');
    succeed('c');
    await opened;
    await turn();
    dial.abort(new Error('too late'));
    expect([...attempts.values()].map(({ signal }) => signal.aborted)).to.deep.equal([false, false, false]);
  });

  it('tries no other when the dialer is closed, nor when the time of the dial is up', async () => {
    for (const reason of [new ClosedError('closed'), new DialTimeoutError('open', 'late')]) {
      dial[Symbol.dispose]();
      dial = new Dial({ host: '10.244.1.7', port: 80, allowHalfOpen: false, timeoutMs: 30_000 });
      tried = [];
      const opened = rejection(race('any', 'a', 'b'));
      dial.abort(reason);
      expect(await opened).to.equal(reason);
      expect(tried).to.deep.equal(['a']);
    }
  });

  it('ends everything when the dial is aborted', async () => {
    const opened = rejection(race('any', 'a', 'b'));
    clock.tick(100);
    const reason = new Error('enough');
    dial.abort(reason);
    expect(await opened).to.equal(reason);
    expect(tried).to.deep.equal(['a', 'b']);
  });
});
