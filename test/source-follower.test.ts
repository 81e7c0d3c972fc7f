import { expect } from 'chai';
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

  it('keeps the nodes when the source ends, and when it breaks', async () => {
    const ended = await started();
    await ended.tell(list('a'));
    await ended.tell('end');
    expect(ended.follower.status).to.include({ state: 'ended' });
    const broken = await started();
    await broken.tell(list('a'));
    await broken.tell('throw');
    expect(broken.follower.status).to.include({ state: 'stale' });
    expect(broken.follower.status.failure?.message).to.equal('it broke');
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
