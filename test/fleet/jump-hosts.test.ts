import { expect } from 'chai';
import { InvalidOptionError } from '../../lib/errors.js';
import { inJumpOrder } from '../../lib/fleet/jump-hosts.js';
import { normalizeNodes } from '../../lib/fleet/node.js';

type Ways = Readonly<Record<string, string | undefined>>;

const order = (ways: Ways): string[] => {
  const specs = Object.entries(ways).map(([name, via]) => ({ name, address: `${name}.example`, via }));
  return inJumpOrder(normalizeNodes(specs).values()).map(({ node, via }) =>
    via === undefined ? node.name : `${node.name} via ${via.name}`,
  );
};

describe('inJumpOrder', () => {
  it('puts every jump host before the nodes behind it, whatever the order of the list, each node once', () => {
    expect(order({ d: 'c', a: undefined, c: 'b', b: 'a', e: 'b' })).to.deep.equal([
      'a',
      'b via a',
      'c via b',
      'd via c',
      'e via b',
    ]);
  });

  it('keeps the order of nodes without jump hosts', () => {
    expect(order({ c: undefined, a: undefined, b: undefined })).to.deep.equal(['c', 'a', 'b']);
    expect(order({})).to.deep.equal([]);
  });

  it('knows a jump host by its name whatever the case', () => {
    expect(order({ a: 'BASTION.', bastion: undefined })).to.deep.equal(['bastion', 'a via bastion']);
  });

  it('takes a chain of any length', () => {
    const ways = Object.fromEntries(
      Array.from({ length: 5000 }, (_, index) => [`n${index}`, index === 4999 ? undefined : `n${index + 1}`]),
    );
    expect(order(ways).at(-1)).to.equal('n0 via n1');
  });

  for (const [what, ways, problem] of [
    [
      'a jump host that is not there',
      { a: 'nobody' },
      /^via of a must be the name of a node in the list, got "nobody"/,
    ],
    ['a node behind itself', { a: 'a' }, /^via of a leads back to itself: a → a$/],
    ['a circle', { x: 'a', a: 'b', b: 'c', c: 'a' }, /^via of c leads back to itself: a → b → c → a$/],
  ] as const satisfies [string, Ways, RegExp][]) {
    it(`refuses ${what}`, () => {
      expect(() => order(ways)).to.throw(InvalidOptionError, problem);
    });
  }
});
