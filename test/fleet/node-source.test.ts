import { expect } from 'chai';
import { InvalidOptionError } from '../../lib/errors.js';
import { nodeSourceOf, type NodeSource, type NodeUpdate } from '../../lib/fleet/node-source.js';
import type { NodeSpec } from '../../lib/fleet/node.js';

const list = (...names: string[]): NodeSpec[] => names.map((name) => ({ name, address: name }));

/** Tells what is given, one after the other. */
const sourceOf = (...updates: NodeUpdate[]): NodeSource => ({
  name: 'the test',
  async *follow() {
    yield* await Promise.resolve(updates);
  },
});

describe('nodeSourceOf', () => {
  it('takes lists, sources and async iterables', () => {
    expect(nodeSourceOf(list('a'), 'nodes')).to.equal(undefined);
    const lists = sourceOf();
    expect(nodeSourceOf(lists, 'nodes')).to.equal(lists);
    const signal = new AbortController().signal;
    expect(nodeSourceOf(lists.follow(signal), 'nodes')?.name).to.equal('the lists given');
  });

  it('refuses anything else', () => {
    for (const wrong of [undefined, null, 'nodes.yaml', 5, {}, new Map(), { follow: 1 }]) {
      expect(() => nodeSourceOf(wrong as never, 'nodes')).to.throw(InvalidOptionError, /nodesFile/);
    }
  });

  it('refuses a source without a name, which status and metrics show', () => {
    const nameless = { follow: () => sourceOf().follow(new AbortController().signal) };
    expect(() => nodeSourceOf(nameless as never, 'nodes')).to.throw(
      InvalidOptionError,
      /^nodes\.name must be/,
    );
  });
});
