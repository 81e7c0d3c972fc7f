import { expect } from 'chai';
import { InvalidOptionError } from '../../lib/errors.js';
import { normalizeNodes, sameNode, type Node, type NodeSpec } from '../../lib/fleet/node.js';
import type { HostKeyVerifier } from '../../lib/ssh/host-keys/verifier.js';
import { describeValue } from '../../lib/validation.js';

const verifier: HostKeyVerifier = {
  keyTypes: () => undefined,
  verify: () => ({ verdict: 'accepted' }),
};
const pin = `SHA256:${'A'.repeat(43)}`;

/** RFC 8709 §4: the name of the type and 32 bytes, each with its length in front. */
const publicKey = (() => {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const blob = Buffer.concat([field(Buffer.from('ssh-ed25519')), field(Buffer.alloc(32, 7))]);
  return `ssh-ed25519 ${blob.toString('base64')}`;
})();

function normalize(spec: NodeSpec): Node {
  const [node] = normalizeNodes([spec]).values();
  if (node === undefined) throw new Error('no node');
  return node;
}

function refusal(specs: unknown): InvalidOptionError {
  try {
    normalizeNodes(specs as NodeSpec[]);
  } catch (error) {
    expect(error).to.be.an.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error('accepted');
}

describe('normalizeNodes', () => {
  it('fills in the defaults', () => {
    expect(normalize({ name: 'node-1', address: '10.0.0.11' })).to.deep.equal({
      name: 'node-1',
      address: '10.0.0.11',
      port: 22,
      addresses: ['10.0.0.11'],
      podCIDRs: [],
      hostKey: undefined,
      username: undefined,
      selfAddress: undefined,
      kubeletPort: 10250,
      clusterReady: undefined,
      via: undefined,
      bastion: false,
    });
  });

  it('brings addresses into one form, the one connected to first and none twice', () => {
    const node = normalize({
      name: 'Node-1',
      address: '[FD00::0:11]',
      addresses: ['10.0.0.11', 'fd00::11', '::ffff:10.0.0.11', 'Node-1.example', 'node-1.EXAMPLE.'],
      podCIDRs: ['10.244.1.9/24', '10.244.1.0/24', 'FD00:10:244:1::/64'],
      selfAddress: '[::1]',
    });
    expect(node.name).to.equal('Node-1');
    expect(node.address).to.equal('fd00::11');
    expect(node.addresses).to.deep.equal(['fd00::11', '10.0.0.11', 'Node-1.example']);
    expect(node.podCIDRs.map(({ text }) => text)).to.deep.equal(['10.244.1.0/24', 'fd00:10:244:1::/64']);
    expect(node.selfAddress).to.equal('::1');
  });

  it('keys the nodes by name in the order given, and an empty list is a list', () => {
    const nodes = normalizeNodes(['b', 'a', 'c'].map((name) => ({ name, address: name })));
    expect([...nodes.keys()]).to.deep.equal(['b', 'a', 'c']);
    expect(nodes.get('a')?.address).to.equal('a');
    expect(normalizeNodes([]).size).to.equal(0);
  });

  it('returns frozen nodes that a later change of the spec does not reach', () => {
    const spec = { name: 'node-1', address: '10.0.0.11', addresses: ['a'], podCIDRs: ['10.244.1.0/24'] };
    const node = normalize(spec);
    spec.addresses.push('b');
    spec.address = 'c';
    expect(node.addresses).to.deep.equal(['10.0.0.11', 'a']);
    for (const part of [node, node.addresses, node.podCIDRs]) expect(Object.isFrozen(part)).to.equal(true);
  });

  it('lets nodes share an address, with the same port or not, and a pod network', () => {
    const shared = { address: '127.0.0.1', podCIDRs: ['10.244.0.0/16'] };
    const nodes = normalizeNodes([
      { name: 'a', port: 2201, ...shared },
      { name: 'b', port: 2202, ...shared },
      { name: 'c', port: 2202, ...shared },
    ]);
    expect(nodes.size).to.equal(3);
  });

  const hostKeys: [string, string | HostKeyVerifier][] = [
    ['a fingerprint', pin],
    ['a padded fingerprint', `${pin}=`],
    ['a public key', publicKey],
    ['a public key with a comment and a line end', `${publicKey} node 1\n`],
    ['a verifier', verifier],
  ];
  for (const [what, hostKey] of hostKeys) {
    it(`accepts ${what} as the host key`, () => {
      expect(normalize({ name: 'a', address: 'a', hostKey }).hostKey).to.equal(hostKey);
    });
  }

  describe('says where a wrong value is and what it is', () => {
    const good = { name: 'good', address: '10.0.0.1' };
    const bad: [what: string, spec: unknown, message: string][] = [
      ['a node that is none', null, 'nodes[1] must be an object, got null'],
      ['no name', { address: 'a' }, 'nodes[1].name must be a host name or IP address, got undefined'],
      [
        'an empty name',
        { name: '', address: 'a' },
        'nodes[1].name must be a host name or IP address, got ""',
      ],
      [
        'a name that cannot be dialled',
        { name: 'a b', address: 'a' },
        'nodes[1].name must be a host name or IP',
      ],
      [
        'two jump hosts at once',
        { name: 'a', address: 'a', via: ['b', 'c'] },
        'nodes[1].via must be the name of one node in the list, got an array',
      ],
      [
        'a jump host as OpenSSH writes it',
        { name: 'a', address: 'a', via: 'tunnel:secret@bastion:22' },
        'nodes[1].via must be the name of one node in the list, got a URL',
      ],
      ['no address', { name: 'a' }, 'nodes[1].address must be a host name or IP address, got undefined'],
      [
        'an address with a port',
        { name: 'a', address: '10.0.0.1:22' },
        'nodes[1].address must be a host name or',
      ],
      [
        'a port of text',
        { name: 'a', address: 'a', port: '22' },
        'nodes[1].port must be an integer from 1 to 65535',
      ],
      [
        'addresses that are no list',
        { name: 'a', address: 'a', addresses: 'b' },
        'nodes[1].addresses must be an arr',
      ],
      [
        'one wrong address',
        { name: 'a', address: 'a', addresses: ['b', 1] },
        'nodes[1].addresses[1] must be a host',
      ],
      [
        'a network without a prefix',
        { name: 'a', address: 'a', podCIDRs: ['10.244.1.0'] },
        'nodes[1].podCIDRs[0] must be a network such as 10.244.1.0/24 or fd00:10:244:1::/64, got "10.244.1.0"',
      ],
      [
        'a null network',
        { name: 'a', address: 'a', podCIDRs: [null] },
        'nodes[1].podCIDRs[0] must be a network such',
      ],
      [
        'an empty user',
        { name: 'a', address: 'a', username: '' },
        'nodes[1].username must be a non-empty string',
      ],
      [
        'a wrong kubelet port',
        { name: 'a', address: 'a', kubeletPort: 0 },
        'nodes[1].kubeletPort must be an integer from 1',
      ],
      [
        'a readiness that is text',
        { name: 'a', address: 'a', clusterReady: 'True' },
        'nodes[1].clusterReady must be true or false',
      ],
      [
        'a wrong self',
        { name: 'a', address: 'a', selfAddress: '' },
        'nodes[1].selfAddress must be a host name or',
      ],
      [
        'a host key that is no verifier',
        { name: 'a', address: 'a', hostKey: { verify: () => true } },
        'nodes[1].hostKey m',
      ],
      [
        'a host key cut short',
        { name: 'a', address: 'a', hostKey: pin.slice(0, -1) },
        'nodes[1].hostKey must be ',
      ],
      [
        'a mistyped key',
        { name: 'a', address: 'a', podCidrs: [] },
        'nodes[1].podCidrs is not a known option; did you mean nodes[1].podCIDRs?',
      ],
    ];
    for (const [what, spec, message] of bad) {
      it(what, () => {
        expect(refusal([good, spec]).message.slice(0, message.length)).to.equal(message);
      });
    }

    for (const specs of [null, undefined, {}, 'node-1', new Map()]) {
      it(`a list that is ${describeValue(specs)}`, () => {
        expect(refusal(specs).message).to.match(/^nodes must be an array, got /);
      });
    }

    for (const [first, second] of [
      ['node-1', 'node-1'],
      ['node-1', 'NODE-1'],
      ['node-1', 'node-1.'],
      ['10.0.0.1', '::ffff:10.0.0.1'],
    ]) {
      it(`the name ${second} beside ${first}`, () => {
        const error = refusal([
          { name: first, address: 'a' },
          { name: 'other', address: 'b' },
          { name: second, address: 'c' },
        ]);
        expect(error.option).to.equal('nodes[2].name');
        expect(error.message).to.equal(
          `nodes[2].name ${JSON.stringify(second)} is already the name of nodes[0]; a name is unique`,
        );
      });
    }
  });

  it('does not repeat a key that was put where the host key belongs', () => {
    const secret = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA';
    const { message } = refusal([{ name: 'a', address: 'a', hostKey: secret }]);
    expect(message).to.include('nodes[0].hostKey ');
    expect(message).to.not.include('b3Blb');
  });
});

describe('sameNode', () => {
  const spec: NodeSpec = {
    name: 'node-1',
    address: '10.0.0.11',
    port: 2222,
    hostKey: pin,
    username: 'tunnel',
    addresses: ['node-1.example'],
    podCIDRs: ['10.244.1.0/24'],
    selfAddress: '127.0.0.1',
  };
  const rerouted: Partial<NodeSpec>[] = [
    {},
    { addresses: [] },
    { podCIDRs: ['10.244.2.0/24'] },
    { selfAddress: undefined },
    { kubeletPort: 10260 },
    { clusterReady: false },
    { address: '::ffff:10.0.0.11' },
  ];
  const replaced: Partial<NodeSpec>[] = [
    { name: 'node-2' },
    { address: '10.0.0.12' },
    { port: undefined },
    { hostKey: undefined },
    { hostKey: `SHA256:${'E'.repeat(43)}` },
    { hostKey: verifier },
    { username: undefined },
    { username: 'root' },
  ];
  for (const change of rerouted) {
    it(`keeps the connections after ${JSON.stringify(change)}`, () => {
      expect(sameNode(normalize(spec), normalize({ ...spec, ...change }))).to.equal(true);
    });
  }
  for (const change of replaced) {
    it(`replaces the connections after a change of ${Object.keys(change).join()}`, () => {
      const [before, after] = [normalize(spec), normalize({ ...spec, ...change })];
      expect(sameNode(before, after)).to.equal(false);
      expect(sameNode(after, before)).to.equal(false);
    });
  }

  it('takes two verifiers for the same only if they are one object', () => {
    const node = normalize({ ...spec, hostKey: verifier });
    expect(sameNode(node, normalize({ ...spec, hostKey: verifier }))).to.equal(true);
    expect(sameNode(node, normalize({ ...spec, hostKey: { ...verifier } }))).to.equal(false);
  });
});
