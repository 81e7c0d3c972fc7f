import { expect } from 'chai';
import { once } from 'node:events';
import { InvalidOptionError, NoRouteError } from '../lib/errors.js';
import type { NodeUpdate } from '../lib/fleet/node-source.js';
import type { SourceStatus } from '../lib/index.js';
import type { SshNode } from '../lib/testing/index.js';
import { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab, roundTrip, until } from './support/dialer.js';

describe('TunnelDialer: a source of nodes', () => {
  let lab: Lab;
  let a: SshNode;
  let b: SshNode;
  let tell: (update: NodeUpdate) => void;
  let isOver: boolean;

  beforeEach(async () => {
    lab = new Lab();
    a = await lab.node({ name: 'a' });
    b = await lab.node({ name: 'b' });
    isOver = false;
  });

  afterEach(async () => {
    await lab.end();
  });

  function create(): TunnelDialer {
    const told: NodeUpdate[] = [];
    let wake: () => void = () => undefined;
    tell = (update) => {
      told.push(update);
      wake();
    };
    const updates: AsyncIterator<NodeUpdate> = {
      next: async () => {
        while (told.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        return { value: told.shift()! };
      },
      return: () => {
        isOver = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
    const hostKeys = { keyTypes: () => undefined, verify: () => ({ verdict: 'accepted' as const }) };
    const ssh = { ...a.ssh, hostKeys };
    const dialer = new TunnelDialer({
      nodes: { name: 'the test', follow: () => ({ [Symbol.asyncIterator]: () => updates }) },
      ssh,
    });
    lab.onEnd(() => dialer.destroy());
    return dialer;
  }

  it('adds and removes nodes, and a stream outlives the failures of the source', async () => {
    const endpoint = await lab.endpoint();
    const dialer = create();
    const ready = dialer.ready();
    tell([a.spec]);
    await ready;
    const stream = await dialer.dial('127.0.0.1', endpoint.port, { node: 'a' });
    lab.onEnd(() => stream.on('error', () => undefined).destroy());
    tell(new Error('no answer'));
    const [status] = (await once(dialer, 'source')) as [SourceStatus];
    expect(status).to.include({ name: 'the test', state: 'stale' });
    expect(dialer.status().source).to.deep.equal(status);
    expect(dialer.status().nodes.map(({ name }) => name)).to.deep.equal(['a']);
    await roundTrip(stream);
    tell([b.spec]);
    await until('b', () =>
      dialer.status().nodes.some(({ name, state }) => name === 'b' && state === 'ready'),
    );
    expect(dialer.status().nodes).to.have.length(1);
  });

  it('shows which nodes it has left out, the first hundred of them, until it leaves none out', async () => {
    const dialer = create();
    const next = async (): Promise<SourceStatus> => ((await once(dialer, 'source')) as [SourceStatus])[0];
    const leftOut = Array.from({ length: 150 }, (_, index) => ({ name: `n${index}`, reason: 'no address' }));
    let told = next();
    tell({ nodes: [a.spec], leftOut });
    const status = await told;
    expect(status).to.include({ state: 'current' });
    expect(status.leftOut?.count).to.equal(150);
    expect(status.leftOut?.first).to.have.length(100);
    expect(status.leftOut?.first[0]).to.deep.equal({ name: 'n0', reason: 'no address', isKept: false });
    expect(dialer.status().nodes.map(({ name }) => name)).to.deep.equal(['a']);
    told = next();
    tell(new Error('no answer'));
    expect((await told).leftOut?.count).to.equal(150);
    told = next();
    tell({ nodes: [a.spec], leftOut: [{ name: 5, reason: 'x' }] as never });
    expect((await told).failure?.message).to.equal('leftOut[0].name must be a string, got a number');
    told = next();
    tell([a.spec]);
    expect(await told)
      .to.include({ state: 'current' })
      .and.not.have.property('leftOut');
  });

  const given = (nodes: AsyncIterable<NodeUpdate>): TunnelDialer => {
    const dialer = new TunnelDialer({ nodes, ssh: a.ssh });
    lab.onEnd(() => dialer.destroy());
    return dialer;
  };

  it('ends the waiting for nodes when it has ended without any, however it ended', async () => {
    async function* failing(): AsyncGenerator<NodeUpdate> {
      yield await Promise.resolve(new Error('no answer'));
    }
    async function* empty(): AsyncGenerator<NodeUpdate> {
      yield await Promise.resolve([]);
    }
    for (const [lists, why] of [
      [failing(), 'it has ended: no answer'],
      [empty(), 'it has ended'],
    ] as const) {
      const dialer = given(lists);
      const refusal: unknown = await dialer.ready().catch((error: unknown) => error);
      expect(refusal)
        .to.be.instanceOf(NoRouteError)
        .and.have.property('message')
        .that.satisfies((text: string) => text.endsWith(why));
      expect(await dialer.ready().catch((error: unknown) => error)).to.equal(refusal);
    }
  });

  it('does not end the waiting when it has told nodes before it ended', async () => {
    async function* lists(): AsyncGenerator<NodeUpdate> {
      yield await Promise.resolve([a.spec]);
    }
    const dialer = given(lists());
    await dialer.ready();
    expect(dialer.status().source).to.include({ state: 'ended' });
    await dialer.ready();
  });

  it('cannot be overruled by update()', () => {
    expect(() => create().update([a.spec])).to.throw(InvalidOptionError, /the test tells which there are/);
  });

  for (const end of ['close', 'destroy'] as const) {
    it(`is left with ${end}()`, async () => {
      const dialer = create();
      tell([a.spec]);
      await dialer.ready();
      await dialer[end]();
      await until('the source to be left', () => isOver);
    });
  }

  it('shows that there is none in the status of a plain list', () => {
    expect(lab.dialer([a]).status()).to.not.have.property('source');
  });
});
