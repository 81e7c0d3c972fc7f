import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import { once } from 'node:events';
import { EventEmitter } from 'node:events';
import type { NodeSpec } from '../lib/fleet/node.js';
import type { NodeSource, NodeUpdate } from '../lib/fleet/node-source.js';
import { SourceFollower } from '../lib/source-follower.js';
import { InvalidOptionError } from '../lib/errors.js';
import { turns } from './support/dialer.js';

const list = (...names: string[]): NodeSpec[] => names.map((name) => ({ name, address: name }));

/** A source that tells what the test hands it, and what is made of that. */
function create() {
  const hands = new EventEmitter<{ update: [NodeUpdate | 'end' | 'throw'] }>();
  let returned = 0;
  const source: NodeSource = {
    name: 'the test',
    async *follow() {
      try {
        for (;;) {
          const [update] = (await once(hands, 'update')) as [NodeUpdate | 'end' | 'throw'];
          if (update === 'end') return;
          if (update === 'throw') throw new Error('it broke');
          yield update;
        }
      } finally {
        returned += 1;
      }
    },
  };
  const applied: string[] = [];
  let changes = 0;
  const follower = new SourceFollower({
    source,
    apply: (nodes) => {
      if (!Array.isArray(nodes)) throw new InvalidOptionError('nodes', 'must be an array');
      applied.push(nodes.map(({ name }: NodeSpec) => name).join());
    },
    onChange: () => (changes += 1),
  });
  const tell = async (update: NodeUpdate | 'end' | 'throw') => {
    hands.emit('update', update);
    await turns(2);
  };
  return { source, follower, applied, tell, hands, returned: () => returned, changes: () => changes };
}

async function started() {
  const made = create();
  made.follower.start();
  await turns(2);
  return made;
}

describe('SourceFollower', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    const left = clock.countTimers();
    clock.restore();
    expect(left).to.equal(0);
  });

  it('waits for the first list, and makes every list the nodes', async () => {
    const { follower, applied, tell, changes } = await started();
    expect(follower.status).to.deep.equal({ name: 'the test', state: 'waiting' });
    await tell(list('a'));
    expect(follower.status).to.include({ state: 'current' });
    expect(follower.status.updatedAt).to.be.instanceOf(Date);
    await tell(list('a', 'b'));
    await tell([]);
    expect(applied).to.deep.equal(['a', 'a,b', '']);
    expect(changes()).to.equal(3);
  });

  it('keeps the nodes while the source fails, says since when, and forgets that with the next list', async () => {
    const { follower, applied, tell } = await started();
    await tell(list('a'));
    const { updatedAt } = follower.status;
    await tell(new Error('no answer'));
    const since = follower.status.failure?.since;
    expect(follower.status).to.deep.include({ state: 'stale', updatedAt });
    await tell(new Error('still no answer'));
    expect(follower.status.failure).to.deep.equal({ message: 'still no answer', since });
    expect(applied).to.deep.equal(['a']);
    await tell(list('b'));
    expect(follower.status).to.include({ state: 'current' }).and.not.have.property('failure');
  });

  it('keeps the nodes when the next list cannot be used', async () => {
    const { follower, applied, tell } = await started();
    await tell(list('a'));
    await tell('rubbish' as unknown as NodeUpdate);
    expect(follower.status).to.include({ state: 'stale' });
    expect(follower.status.failure?.message).to.equal('nodes must be an array');
    await tell(list('b'));
    expect(applied).to.deep.equal(['a', 'b']);
  });

  it('goes on waiting when the source fails before it has told any', async () => {
    const { follower, tell } = await started();
    await tell(new Error('no answer'));
    expect(follower.status).to.include({ state: 'waiting' });
    expect(follower.status.failure?.message).to.equal('no answer');
  });

  it('keeps the nodes when the source ends', async () => {
    const ended = await started();
    await ended.tell(list('a'));
    await ended.tell('end');
    expect(ended.follower.status).to.include({ state: 'ended' });
    expect(ended.follower.status).to.not.have.property('failure');
  });

  /** Lets a wait of this length pass, and what comes after it happen. */
  const pass = async (ms: number): Promise<void> => {
    clock.tick(ms);
    await turns(2);
  };

  it('keeps the nodes when the source breaks, and follows it again after a while', async () => {
    const { follower, applied, tell, returned } = await started();
    await tell(list('a'));
    await tell('throw');
    expect(follower.status).to.include({ state: 'stale' });
    expect(follower.status.failure?.message).to.equal('it broke');
    await pass(999);
    await tell(list('too soon'));
    await pass(1001);
    await tell(list('b'));
    expect(applied).to.deep.equal(['a', 'b']);
    expect(follower.status).to.include({ state: 'current' }).and.not.have.property('failure');
    expect(returned()).to.equal(1);
    follower.stop();
    await turns(2);
  });

  it('goes on trying a source that breaks before it has told any, less and less often', async () => {
    let follows = 0;
    const follower = new SourceFollower({
      source: {
        name: 'broken',
        follow: () => {
          follows += 1;
          throw new Error(`not today ${follows}`);
        },
      },
      apply: () => undefined,
      onChange: () => undefined,
    });
    follower.start();
    await turns(2);
    expect(follower.status).to.include({ state: 'waiting' });
    const since = follower.status.failure?.since;
    const waits = [2, 4, 8, 16, 30, 30].map((seconds) => seconds * 1000);
    for (const [index, wait] of waits.entries()) {
      expect(follows).to.equal(index + 1);
      const startedAt = clock.now;
      clock.next();
      expect(clock.now - startedAt).to.be.within(1000, wait);
      await turns(2);
    }
    expect(follower.status.failure).to.deep.equal({ message: 'not today 7', since });
    follower.stop();
    await turns(2);
  });

  it('has ended, with its failure, when all that can be followed is an iterable that broke', async () => {
    async function* once(): AsyncGenerator<NodeUpdate> {
      yield await Promise.resolve(list('a'));
      throw new Error('it broke');
    }
    const lists = once();
    const applied: unknown[] = [];
    const follower = new SourceFollower({
      source: { name: 'the lists given', follow: () => lists },
      apply: (nodes) => void applied.push(nodes),
      onChange: () => undefined,
    });
    follower.start();
    await turns(2);
    const { failure } = follower.status;
    await pass(2000);
    expect(follower.status).to.deep.include({ state: 'ended', failure });
    expect(failure?.message).to.equal('it broke');
    expect(applied).to.have.length(1);
  });

  it('says so when the source cannot even be followed', async () => {
    const follower = new SourceFollower({
      source: {
        name: 'broken',
        follow: () => {
          throw new Error('not today');
        },
      },
      apply: () => undefined,
      onChange: () => undefined,
    });
    follower.start();
    await turns(2);
    expect(follower.status.failure?.message).to.equal('not today');
    follower.stop();
    await turns(2);
  });

  it('ends with stop(), though the source hears of nothing, and takes nothing more', async () => {
    const { follower, applied, tell, hands, returned } = await started();
    await tell(list('a'));
    follower.stop();
    await turns(2);
    const before = follower.status;
    await tell(list('b'));
    expect(follower.status).to.equal(before);
    expect(applied).to.deep.equal(['a']);
    expect(returned()).to.equal(1);
    expect(hands.listenerCount('update')).to.equal(0);
  });
});
