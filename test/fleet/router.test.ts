import { expect } from 'chai';
import { NoRouteError } from '../../lib/errors.js';
import { normalizeNodes, type NodeSpec } from '../../lib/fleet/node.js';
import { Router, type Route, type RouterOptions } from '../../lib/fleet/router.js';
import { below, seededRandom } from '../support/seeded-random.js';

interface Setup extends Partial<Omit<RouterOptions, 'load'>> {
  /** Loads by node name; a node left out is not ready. Default: all ready and idle. */
  loads?: Record<string, number>;
}

function routerFor(specs: readonly NodeSpec[], { loads, ...options }: Setup = {}): Router {
  const load: RouterOptions['load'] = ({ name }) => (loads === undefined ? 0 : loads[name]);
  return new Router(normalizeNodes(specs).values(), { load, random: seededRandom(1), ...options });
}

const names = (route: Route) => route.candidates.map(({ node }) => node.name);

function refusal(action: () => unknown): NoRouteError {
  try {
    action();
  } catch (error) {
    expect(error).to.be.an.instanceOf(NoRouteError);
    return error as NoRouteError;
  }
  throw new Error('it was routed');
}

/** Candidates of many draws, because one draw shows only one of the orders that may come. */
function draws(router: Router, host: string, rounds = 300): string[][] {
  return Array.from({ length: rounds }, () => names(router.route(host)));
}

const fleet: NodeSpec[] = [
  { name: 'node-1', address: '10.0.0.11', podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] },
  { name: 'Node-2', address: 'node-2.example.', addresses: ['10.0.0.12', 'fd00::12', 'NODE-2'] },
  { name: 'node-3', address: '[fd00::13]', podCIDRs: ['10.244.0.0/16', '10.244.3.0/24', 'fd00:10:244::/48'] },
  { name: 'node-4', address: '10.0.0.14', selfAddress: '127.0.0.1', addresses: ['node-4.example'] },
  { name: '10.0.0.15', address: '192.0.2.15', podCIDRs: ['::ffff:10.245.5.0/120', '10.244.3.128/25'] },
  { name: 'node-6', address: 'fe80::6%eth0', selfAddress: '[::1]' },
];

describe('Router', () => {
  describe('sends a dial to a node that owns the host to that node and no other', () => {
    const table: [host: string, node: string, dialled: string][] = [
      // By name: our label means the node's address, unless it is one of the node's addresses itself.
      ['node-1', 'node-1', '10.0.0.11'],
      ['NODE-1', 'node-1', '10.0.0.11'],
      ['node-1.', 'node-1', '10.0.0.11'],
      ['node-2', 'Node-2', 'node-2'],
      ['Node-2.', 'Node-2', 'Node-2.'],
      ['node-3', 'node-3', 'fd00::13'],
      ['node-4', 'node-4', '127.0.0.1'],
      ['node-6', 'node-6', '::1'],
      // A name that is an address needs nobody to resolve it.
      ['10.0.0.15', '10.0.0.15', '10.0.0.15'],
      ['::ffff:10.0.0.15', '10.0.0.15', '10.0.0.15'],
      // By address, in every notation.
      ['10.0.0.11', 'node-1', '10.0.0.11'],
      ['::ffff:10.0.0.11', 'node-1', '10.0.0.11'],
      ['[::ffff:10.0.0.11]', 'node-1', '10.0.0.11'],
      ['::FFFF:0A00:000B', 'node-1', '10.0.0.11'],
      ['node-2.example', 'Node-2', 'node-2.example'],
      ['Node-2.Example.', 'Node-2', 'Node-2.Example.'],
      ['10.0.0.12', 'Node-2', '10.0.0.12'],
      ['fd00::12', 'Node-2', 'fd00::12'],
      ['[FD00:0:0::0012]', 'Node-2', 'fd00::12'],
      ['fd00::13', 'node-3', 'fd00::13'],
      ['10.0.0.14', 'node-4', '127.0.0.1'],
      ['node-4.EXAMPLE.', 'node-4', '127.0.0.1'],
      ['192.0.2.15', '10.0.0.15', '192.0.2.15'],
      ['fe80::6', 'node-6', '::1'],
      ['[fe80::6%eth1]', 'node-6', '::1'],
    ];
    for (const [host, node, dialled] of table) {
      it(`${host} → ${node}, which dials ${dialled}`, () => {
        const route = routerFor(fleet).route(host);
        expect(route.kind).to.equal('node');
        expect(route.candidates.map((one) => [one.node.name, one.host])).to.deep.equal([[node, dialled]]);
      });
    }

    it('whether it is ready or not', () => {
      const router = routerFor(fleet, { loads: { 'node-3': 0 } });
      expect(names(router.route('10.0.0.11'))).to.deep.equal(['node-1']);
    });

    it('also with onMiss reject', () => {
      expect(names(routerFor(fleet, { onMiss: 'reject' }).route('node-1'))).to.deep.equal(['node-1']);
    });

    it('and its address wins over a pod network that holds it', () => {
      const route = routerFor([
        { name: 'a', address: '10.0.0.1', podCIDRs: ['10.0.0.0/8'] },
        { name: 'b', address: '10.0.0.2' },
      ]).route('10.0.0.2');
      expect([route.kind, names(route)]).to.deep.equal(['node', ['b']]);
    });

    it("and a node's name wins over another's address", () => {
      const router = routerFor([
        { name: 'a', address: '10.0.0.1' },
        { name: 'b', address: '10.0.0.2', addresses: ['a'], selfAddress: '127.0.0.1' },
      ]);
      const route = router.route('a');
      expect(route.candidates.map((one) => [one.node.name, one.host])).to.deep.equal([['a', '10.0.0.1']]);
      // Nor does the other take it for itself when it has to carry the dial.
      expect(router.route('a', { node: 'b' }).candidates[0]?.host).to.equal('10.0.0.1');
    });
  });

  describe('with an address that several nodes share', () => {
    const shared: NodeSpec[] = ['a', 'b', 'c', 'd'].map((name, index) => ({
      name,
      address: '127.0.0.1',
      port: 2200 + index,
      selfAddress: name === 'b' ? '::1' : undefined,
    }));

    it('offers all of them, each with its own host to dial, and nobody else', () => {
      const router = routerFor([...shared, { name: 'e', address: '127.0.0.2' }], { maxCandidates: 9 });
      const { kind, candidates } = router.route('127.0.0.1');
      expect(kind).to.equal('node');
      const found = candidates.map(({ node, host }) => `${node.name} ${host}`);
      expect(found).to.have.members(['a 127.0.0.1', 'b ::1', 'c 127.0.0.1', 'd 127.0.0.1']);
    });

    it('takes the ready ones first, fills up with others and keeps to maxCandidates', () => {
      for (const drawn of draws(routerFor(shared, { loads: { c: 5, d: 6 } }), '127.0.0.1')) {
        expect(drawn).to.have.lengthOf(3);
        expect(drawn.slice(0, 2)).to.deep.equal(['c', 'd']);
        expect(drawn[2]).to.be.oneOf(['a', 'b']);
      }
    });

    it('still goes to one node only by name', () => {
      expect(draws(routerFor(shared), 'c')).to.deep.equal(Array(300).fill(['c']));
    });
  });

  describe('sends a dial to a pod to the node whose network holds it', () => {
    const table: [host: string, owner: string, cidr: string, dialled: string][] = [
      ['10.244.1.7', 'node-1', '10.244.1.0/24', '10.244.1.7'],
      ['10.244.1.0', 'node-1', '10.244.1.0/24', '10.244.1.0'],
      ['10.244.1.255', 'node-1', '10.244.1.0/24', '10.244.1.255'],
      ['::ffff:10.244.1.7', 'node-1', '10.244.1.0/24', '10.244.1.7'],
      ['10.244.2.0', 'node-3', '10.244.0.0/16', '10.244.2.0'],
      ['10.244.0.255', 'node-3', '10.244.0.0/16', '10.244.0.255'],
      ['10.244.3.127', 'node-3', '10.244.3.0/24', '10.244.3.127'],
      ['10.244.3.128', '10.0.0.15', '10.244.3.128/25', '10.244.3.128'],
      ['10.245.5.5', '10.0.0.15', '10.245.5.0/24', '10.245.5.5'],
      ['fd00:10:244:1::7', 'node-1', 'fd00:10:244:1::/64', 'fd00:10:244:1::7'],
      ['[FD00:10:244:1:0::7]', 'node-1', 'fd00:10:244:1::/64', 'fd00:10:244:1::7'],
      ['fd00:10:244:2::7', 'node-3', 'fd00:10:244::/48', 'fd00:10:244:2::7'],
    ];
    for (const [host, owner, cidr, dialled] of table) {
      it(`${host} → ${owner} by ${cidr}`, () => {
        const route = routerFor(fleet).route(host);
        expect(route).to.include({ kind: 'pod', cidr });
        expect(names(route)[0]).to.equal(owner);
        for (const candidate of route.candidates) expect(candidate.host).to.equal(dialled);
      });
    }

    for (const host of [
      '10.243.255.255',
      '10.245.0.0',
      '10.245.4.255',
      '10.245.6.0',
      'fd00:10:245::',
      'a.example',
    ]) {
      it(`${host} is in none`, () => {
        expect(routerFor(fleet).route(host).kind).to.equal('any');
      });
    }

    it('the owner comes first even when it is not ready; then ready nodes only, none twice', () => {
      const router = routerFor(fleet, { loads: { 'Node-2': 1, 'node-3': 2, 'node-4': 3 } });
      const seen = new Set<string>();
      for (const drawn of draws(router, '10.244.1.7')) {
        expect(drawn[0]).to.equal('node-1');
        expect(drawn).to.have.lengthOf(3);
        expect(new Set(drawn).size).to.equal(3);
        for (const name of drawn.slice(1)) seen.add(name);
      }
      expect([...seen]).to.have.members(['Node-2', 'node-3', 'node-4']);
    });

    it('the owner stands alone when no other node is ready', () => {
      expect(names(routerFor(fleet, { loads: {} }).route('10.244.1.7'))).to.deep.equal(['node-1']);
    });

    it('the owner is not its own replacement', () => {
      expect(names(routerFor(fleet, { loads: { 'node-1': 0 } }).route('10.244.1.7'))).to.deep.equal([
        'node-1',
      ]);
    });

    it('two owners of one network both come before the rest, the less busy first', () => {
      const specs = Array.from('abcd').map((name) => ({
        name,
        address: name,
        podCIDRs: name < 'c' ? ['10.244.1.0/24'] : [],
      }));
      for (const drawn of draws(routerFor(specs, { loads: { a: 7, b: 3, c: 0, d: 0 } }), '10.244.1.1')) {
        expect(drawn.slice(0, 2)).to.deep.equal(['b', 'a']);
        expect(drawn[2]).to.be.oneOf(['c', 'd']);
      }
    });

    it('a network of everything catches everything of its family', () => {
      const router = routerFor([
        { name: 'a', address: 'a', podCIDRs: ['0.0.0.0/0'] },
        { name: 'b', address: 'b', podCIDRs: ['::/0'] },
      ]);
      expect(names(router.route('203.0.113.1'))[0]).to.equal('a');
      expect(names(router.route('2001:db8::1'))[0]).to.equal('b');
      expect(router.route('example.com').kind).to.equal('any');
    });

    it('agrees with a scan of all networks on random fleets', () => {
      const random = seededRandom(7);
      for (let round = 0; round < 100; round += 1) {
        const specs = Array.from({ length: 20 }, (_, index) => ({
          name: `n${index}`,
          address: `n${index}`,
          podCIDRs: [`10.${below(4, random)}.${below(4, random)}.0/${below(25, random)}`],
        }));
        const nodes = [...normalizeNodes(specs).values()];
        const router = new Router(nodes, { load: () => 0, random, maxCandidates: 99 });
        const octets = [10, below(5, random), below(5, random), below(256, random)];
        const bits = BigInt(octets.reduce((sum, octet) => sum * 256 + octet, 0));
        const holding = nodes.flatMap((node) =>
          node.podCIDRs
            .filter(({ prefix, network }) => bits >> BigInt(32 - prefix) === network)
            .map(({ prefix }) => ({ prefix, name: node.name })),
        );
        const longest = Math.max(...holding.map(({ prefix }) => prefix));
        const owners = holding.filter(({ prefix }) => prefix === longest).map(({ name }) => name);
        const route = router.route(octets.join('.'));
        expect(route.kind).to.equal(owners.length === 0 ? 'any' : 'pod');
        expect(names(route).slice(0, owners.length)).to.have.members(owners);
        expect(names(route)).to.have.members(nodes.map(({ name }) => name));
      }
    });
  });

  describe('with a host that nobody owns', () => {
    const five = Array.from('abcde').map((name) => ({ name, address: `10.0.0.${name.charCodeAt(0)}` }));

    for (const [host, dialled] of [
      ['kubernetes.default.svc', 'kubernetes.default.svc'],
      ['Web.Example.', 'Web.Example.'],
      ['10.96.0.1', '10.96.0.1'],
      ['[2001:DB8::0:1]', '2001:db8::1'],
      ['fe80::1%eth0', 'fe80::1%eth0'],
      ['::ffff:10.96.0.1', '10.96.0.1'],
      ['127.0.0.1', '127.0.0.1'],
    ] as const) {
      it(`${host} goes to any node, which dials ${dialled}`, () => {
        const route = routerFor(five).route(host);
        expect(route.kind).to.equal('any');
        expect(route.candidates).to.have.lengthOf(3);
        for (const candidate of route.candidates) expect(candidate.host).to.equal(dialled);
      });
    }

    it('every ready node gets its turn, about equally often when all are as busy', () => {
      const count = new Map<string, number>();
      for (const [first = ''] of draws(routerFor(five), 'x', 5000))
        count.set(first, (count.get(first) ?? 0) + 1);
      expect(count.size).to.equal(5);
      for (const times of count.values()) expect(times).to.be.within(850, 1150);
    });

    it('the busiest is never first, and the idlest is first as often as a choice of two makes it', () => {
      const router = routerFor(five, { loads: { a: 1, b: 2, c: 3, d: 4, e: 5 } });
      const count = new Map<string, number>();
      for (const [first = ''] of draws(router, 'x', 5000)) count.set(first, (count.get(first) ?? 0) + 1);
      // Of the 10 pairs of 5 nodes the idlest wins 4, the next 3, 2, 1 and 0.
      const share = (name: string) => (count.get(name) ?? 0) / 5000;
      expect(share('e')).to.equal(0);
      for (const [name, expected] of [
        ['a', 0.4],
        ['b', 0.3],
        ['c', 0.2],
        ['d', 0.1],
      ] as const) {
        expect(share(name)).to.be.closeTo(expected, 0.03);
      }
    });

    it('of two ready nodes the less busy one is always first, also when it is the only candidate', () => {
      const loads = { b: 9, d: 8 };
      for (const drawn of draws(routerFor(five, { loads }), 'x')) {
        expect(drawn.slice(0, 2)).to.deep.equal(['d', 'b']);
        expect(drawn[2]).to.be.oneOf(['a', 'c', 'e']);
      }
      for (const drawn of draws(routerFor(five, { loads, maxCandidates: 1 }), 'x')) {
        expect(drawn).to.deep.equal(['d']);
      }
    });

    it('all nodes are candidates in random order when none is ready', () => {
      const firsts = new Set<string | undefined>();
      for (const drawn of draws(routerFor(five, { loads: {} }), 'x')) {
        expect(drawn).to.have.lengthOf(3);
        expect(new Set(drawn).size).to.equal(3);
        firsts.add(drawn[0]);
      }
      expect(firsts.size).to.equal(5);
    });

    it('a fleet smaller than maxCandidates is offered whole', () => {
      expect(names(routerFor(five, { maxCandidates: 9 }).route('x'))).to.have.members(Array.from('abcde'));
      expect(names(routerFor(five.slice(0, 1)).route('x'))).to.deep.equal(['a']);
    });

    it('asks only a few nodes for their load when all are ready', () => {
      const many = normalizeNodes(
        Array.from({ length: 1000 }, (_, i) => ({ name: `n${i}`, address: `n${i}` })),
      );
      let asked = 0;
      const router = new Router(many.values(), { load: () => (asked += 1), random: seededRandom(1) });
      router.route('x');
      expect(asked).to.equal(3);
    });

    for (const host of ['10.96.0.1', 'kubernetes.default.svc']) {
      it(`onMiss reject refuses ${host} and says what to do`, () => {
        const error = refusal(() => routerFor(five, { onMiss: 'reject' }).route(host));
        expect(error.code).to.equal('ERR_TUNNEL_NO_ROUTE');
        expect(error.host).to.equal(host);
        expect(error.message).to.include(`no node owns "${host}"`).and.include("onMiss to 'any-node'");
      });
    }
  });

  describe('with the node option', () => {
    const table: [host: string, node: string, dialled: string][] = [
      ['10.96.0.1', 'node-1', '10.96.0.1'],
      ['[2001:DB8::1]', 'node-1', '2001:db8::1'],
      ['10.244.3.1', 'node-1', '10.244.3.1'],
      ['10.0.0.14', 'node-1', '10.0.0.14'],
      ['localhost', 'node-4', 'localhost'],
      ['10.0.0.14', 'node-4', '127.0.0.1'],
      ['node-4', 'node-4', '127.0.0.1'],
      // Another node's label is no name that a resolver knows.
      ['node-4', 'node-1', '10.0.0.14'],
      ['node-3', 'NODE-1.', 'fd00::13'],
      ['Node-2', 'node-1', 'Node-2'],
    ];
    for (const [host, node, dialled] of table) {
      it(`${host} through ${node} dials ${dialled} and tries no other node`, () => {
        const route = routerFor(fleet, { onMiss: 'reject' }).route(host, { node });
        expect(route.kind).to.equal('node');
        const expected = fleet.find(({ name }) => name === node.toLowerCase().replace(/\.$/, ''))?.name;
        expect(route.candidates.map((one) => [one.node.name, one.host])).to.deep.equal([[expected, dialled]]);
      });
    }

    it('an unknown node is named, escaped', () => {
      const error = refusal(() => routerFor(fleet).route('10.0.0.11', { node: 'node-9\n' }));
      expect(error.message).to.equal('there is no node named "node-9\\n" among 6 nodes');
      expect(error).to.include({ node: 'node-9\n', host: '10.0.0.11' });
    });

    it("an address is not a node's name", () => {
      refusal(() => routerFor(fleet).route('x', { node: '10.0.0.11' }));
    });
  });

  it('says so when there are no nodes at all, whatever was asked for', () => {
    const router = routerFor([]);
    for (const route of [() => router.route('x'), () => router.route('x', { node: 'node-1' })]) {
      expect(refusal(route).message).to.match(/^there are no nodes yet/);
    }
  });

  describe('takes a bastion for what carries others', () => {
    const bastion: NodeSpec = {
      name: 'bastion',
      address: '10.0.0.1',
      addresses: ['bastion.example'],
      podCIDRs: ['10.244.0.0/16'],
      bastion: true,
    };
    const node: NodeSpec = { name: 'node', address: '10.0.0.2', via: 'bastion' };

    it('routes nothing to it: no host that it owns, no pod network, nothing that nobody owns', () => {
      const router = routerFor([bastion, node]);
      for (const host of ['bastion', '10.0.0.1', 'bastion.example', '10.244.1.1', 'anything'])
        for (const candidates of draws(router, host, 20)) expect(candidates, host).to.deep.equal(['node']);
    });

    it('refuses what it alone could carry', () => {
      expect(refusal(() => routerFor([bastion]).route('anything')).message).to.match(
        /^there are only bastions/,
      );
      const router = routerFor([bastion, node], { onMiss: 'reject' });
      expect(refusal(() => router.route('10.0.0.1')).message).to.include('no node owns');
    });

    it('routes to it when it is asked for, also when there is no other', () => {
      for (const router of [routerFor([bastion, node]), routerFor([bastion])]) {
        const [candidate] = router.route('Bastion', { node: 'bastion' }).candidates;
        expect(candidate).to.deep.include({ host: '10.0.0.1' });
        expect(candidate?.node.name).to.equal('bastion');
      }
    });
  });
});
