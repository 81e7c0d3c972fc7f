import { expect } from 'chai';
import { normalizeNodes } from '../../lib/fleet/node.js';
import { debug } from '../../lib/diagnostics.js';
import { KnownNodes } from '../../lib/kubernetes/known-nodes.js';
import { ADDRESS_TYPES, nodeSpecOf, trimNode, type KubernetesNode } from '../../lib/kubernetes/node-spec.js';
import { nodeOf } from './stage.js';

const reading = { addressTypes: ADDRESS_TYPES, annotations: true, bastions: [] };
const pin = `SHA256:${'A'.repeat(43)}`;

const annotated = (annotations: Record<string, string>): KubernetesNode => ({
  ...nodeOf('a'),
  metadata: { name: 'a', annotations },
});

describe('trimNode', () => {
  const full = nodeOf('a', {
    metadata: {
      name: 'a',
      resourceVersion: '7',
      annotations: { 'tunnel-dialer/ssh-port': '2222', 'tunnel-dialer/ssh-host-key': pin },
    },
  });

  it('leaves away nothing that is read', () => {
    expect(nodeSpecOf(trimNode(full), reading)).to.deep.equal(nodeSpecOf(full, reading));
    expect(nodeSpecOf(full, reading)).to.include({ port: 2222, hostKey: pin, clusterReady: true });
    expect(trimNode(full).metadata?.resourceVersion).to.equal('7');
    const old = nodeOf('b', { spec: { podCIDR: '10.1.0.0/24' } });
    expect(nodeSpecOf(trimNode(old), reading)).to.deep.equal(nodeSpecOf(old, reading));
  });

  it('leaves away what is not read', () => {
    const padding = 'x'.repeat(1000);
    const node = {
      ...full,
      padding,
      metadata: { ...full.metadata, padding, annotations: { ...full.metadata.annotations, padding } },
      spec: { ...full.spec, padding },
      status: {
        ...full.status,
        padding,
        addresses: full.status?.addresses?.map((address) => ({ ...address, padding })),
        conditions: [
          { type: 'Ready', status: 'True', padding },
          { type: padding, status: 'True' },
        ],
        daemonEndpoints: { kubeletEndpoint: { Port: 10250, padding }, padding },
      },
    };
    const trimmed = trimNode(node);
    expect(JSON.stringify(trimmed)).not.to.include(padding);
    expect(nodeSpecOf(trimmed, reading)).to.deep.equal(nodeSpecOf(full, reading));
  });

  it('takes anything, of which there is either a spec or what is wrong with it', () => {
    const wrong: readonly unknown[] = [null, undefined, 7, 'x', true, [], [null], {}, { a: 1 }];
    const nodes = wrong.flatMap((value): unknown[] => [
      value,
      { ...full, metadata: value },
      { ...full, metadata: { ...full.metadata, name: value } },
      { ...full, metadata: { ...full.metadata, annotations: value } },
      { ...full, metadata: { name: 'a', annotations: { 'tunnel-dialer/ssh-port': value } } },
      { ...full, metadata: { name: 'a', annotations: { 'tunnel-dialer/ssh-host-key': value } } },
      { ...full, spec: value },
      { ...full, spec: { podCIDR: value } },
      { ...full, spec: { podCIDRs: value } },
      { ...full, status: value },
      ...['addresses', 'conditions', 'daemonEndpoints'].flatMap((key) => [
        { ...full, status: { ...full.status, [key]: value } },
        { ...full, status: { ...full.status, [key]: [value] } },
        { ...full, status: { ...full.status, [key]: [{ type: value, address: value, status: value }] } },
      ]),
      { ...full, status: { ...full.status, daemonEndpoints: { kubeletEndpoint: value } } },
      { ...full, status: { ...full.status, daemonEndpoints: { kubeletEndpoint: { Port: value } } } },
    ]);
    const bastions = [{ name: 'bastion', address: 'bastion.example' }];
    for (const node of nodes) {
      try {
        normalizeNodes([nodeSpecOf(trimNode(node), { ...reading, bastions }), ...bastions]);
      } catch (error) {
        expect((error as Error).name, JSON.stringify(node)).not.to.equal('TypeError');
      }
    }
  });
});

describe('nodeSpecOf', () => {
  it('reads what a Node says', () => {
    expect(nodeSpecOf(nodeOf('a'), reading)).to.deep.equal({
      name: 'a',
      address: '10.0.0.11',
      port: undefined,
      addresses: ['a', '10.0.0.11'],
      podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'],
      hostKey: undefined,
      kubeletPort: 10250,
      clusterReady: true,
      via: undefined,
    });
  });

  it('is reached through the last of the bastions, whose name it may not have', () => {
    const bastions = ['outer', 'inner'].map((name) => ({ name, address: `${name}.example` }));
    expect(nodeSpecOf(nodeOf('a'), { ...reading, bastions }).via).to.equal('inner');
    expect(() => nodeSpecOf(nodeOf('Outer'), { ...reading, bastions })).to.throw(
      'it has the name of a bastion',
    );
  });

  it('prefers addresses by their type, and keeps those of all types', () => {
    const addresses = [
      { type: 'ExternalIP', address: '192.0.2.1' },
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'InternalIP', address: 'fd00::1' },
      { type: 'Hostname', address: '10.0.0.1' },
    ];
    const node = nodeOf('a', { status: { addresses } });
    const spec = nodeSpecOf(node, reading);
    expect(spec.address).to.equal('10.0.0.1');
    expect(spec.addresses).to.deep.equal(['192.0.2.1', '10.0.0.1', 'fd00::1']);
    const external = nodeSpecOf(node, { ...reading, addressTypes: ['ExternalDNS', 'ExternalIP'] });
    expect(external.address).to.equal('192.0.2.1');
    expect(() => nodeSpecOf(node, { ...reading, addressTypes: ['ExternalDNS'] })).to.throw(
      'it has no usable address of type ExternalDNS',
    );
  });

  it('passes over an address that is none', () => {
    const addresses = [
      { type: 'InternalIP', address: '10.0.0.300' },
      { type: 'InternalIP', address: '10.0.0.3' },
      { type: 'Hostname', address: 'a b' },
    ];
    const spec = nodeSpecOf(nodeOf('a', { status: { addresses } }), reading);
    expect(spec).to.deep.include({ address: '10.0.0.3', addresses: ['10.0.0.3'] });
  });

  it("takes a kubelet's port of 0 for not known", () => {
    const status = { ...nodeOf('a').status, daemonEndpoints: { kubeletEndpoint: { Port: 0 } } };
    expect(nodeSpecOf(nodeOf('a', { status }), reading).kubeletPort).to.equal(undefined);
  });

  it('reads a single pod network, and none', () => {
    expect(nodeSpecOf(nodeOf('a', { spec: { podCIDR: '10.244.2.0/24' } }), reading).podCIDRs).to.deep.equal([
      '10.244.2.0/24',
    ]);
    expect(nodeSpecOf(nodeOf('a', { spec: {} }), reading).podCIDRs).to.deep.equal([]);
  });

  for (const [condition, expected] of [
    ['True', true],
    ['False', false],
    ['Unknown', false],
    [undefined, undefined],
  ] as const) {
    it(`takes a node for ready if the cluster says so: ${condition ?? 'nothing said'}`, () => {
      const conditions = condition === undefined ? [] : [{ type: 'Ready', status: condition }];
      const { addresses = [] } = nodeOf('a').status ?? {};
      const spec = nodeSpecOf(nodeOf('a', { status: { addresses, conditions } }), reading);
      expect(spec).to.include({ clusterReady: expected, kubeletPort: undefined });
    });
  }

  it('reads the annotations, unless told otherwise', () => {
    const node = annotated({ 'tunnel-dialer/ssh-port': '2222', 'tunnel-dialer/ssh-host-key': pin });
    expect(nodeSpecOf(node, reading)).to.include({ port: 2222, hostKey: pin });
    expect(nodeSpecOf(node, { ...reading, annotations: false })).to.include({
      port: undefined,
      hostKey: undefined,
    });
  });

  for (const wrong of [
    annotated({ 'tunnel-dialer/ssh-port': '22x' }),
    annotated({ 'tunnel-dialer/ssh-port': '0' }),
    annotated({ 'tunnel-dialer/ssh-port': '70000' }),
    annotated({ 'tunnel-dialer/ssh-host-key': '' }),
    annotated({ 'tunnel-dialer/ssh-host-key': 'ssh-ed25519 AAAA' }),
    nodeOf('a', { spec: { podCIDRs: ['10.244.0.0/99'] } }),
    nodeOf(''),
    {},
    { metadata: { name: 'a' }, status: { addresses: 7 } } as unknown as KubernetesNode,
    nodeOf('a', { status: { addresses: [null] } as unknown as NonNullable<KubernetesNode['status']> }),
  ]) {
    it(`refuses ${JSON.stringify(wrong.metadata ?? {})} ${JSON.stringify(wrong.spec ?? {})}`, () => {
      expect(() => nodeSpecOf(wrong, reading)).to.throw();
    });
  }

  it('makes nodes that a dialer takes', () => {
    const spec = nodeSpecOf(annotated({ 'tunnel-dialer/ssh-port': '2222' }), reading);
    expect(normalizeNodes([spec]).get('a')).to.include({ port: 2222, address: '10.0.0.11' });
  });
});

describe('KnownNodes', () => {
  const lines: string[] = [];
  const { enabled } = debug.kubernetes;
  const log = Object.getOwnPropertyDescriptor(debug.kubernetes, 'log');

  before(() => {
    debug.kubernetes.enabled = true;
    debug.kubernetes.log = (format: string, ...values: unknown[]) =>
      lines.push([format, ...values].join(' '));
  });

  after(() => {
    debug.kubernetes.enabled = enabled;
    if (log === undefined) Reflect.deleteProperty(debug.kubernetes, 'log');
    else Object.defineProperty(debug.kubernetes, 'log', log);
  });

  it('says once why a node is left out, and again when the reason is another', () => {
    const known = new KnownNodes(reading);
    const wrong = annotated({ 'tunnel-dialer/ssh-port': 'x' });
    expect(known.put(wrong)).to.equal(true);
    expect(known.replace([wrong])).to.equal(false);
    expect(known.put(wrong)).to.equal(false);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include('a').and.include('ssh-port');
    expect(known.put(nodeOf('a', { status: { addresses: [] } }))).to.equal(true);
    expect(lines).to.have.length(2);
    expect(known.put(nodeOf('a'))).to.equal(true);
    known.put(wrong);
    expect(lines).to.have.length(3);
    expect(lines[2]).to.include('kept as it was').and.include('ssh-port');
    expect(known.specs).to.deep.equal([nodeSpecOf(nodeOf('a'), reading)]);
  });

  it('tells the bastions with the nodes', () => {
    const bastion = { name: 'bastion', address: '192.0.2.1', bastion: true };
    const known = new KnownNodes({ ...reading, bastions: [bastion] });
    known.put(nodeOf('a'));
    expect(known.specs.map(({ name, via }) => [name, via])).to.deep.equal([
      ['bastion', undefined],
      ['a', 'bastion'],
    ]);
    expect(normalizeNodes(known.specs).size).to.equal(2);
  });

  it('knows whether something has changed', () => {
    const known = new KnownNodes(reading);
    expect(known.replace([])).to.equal(false);
    expect(known.replace([nodeOf('a'), nodeOf('b')])).to.equal(true);
    expect(known.replace([nodeOf('a'), nodeOf('b')])).to.equal(false);
    expect(known.replace([nodeOf('a')])).to.equal(true);
    expect(known.delete(nodeOf('b'))).to.equal(false);
    expect(known.delete(nodeOf('a'))).to.equal(true);
    expect(known.put(nodeOf('a'))).to.equal(true);
    expect(known.put(nodeOf('a'))).to.equal(false);
  });
});
