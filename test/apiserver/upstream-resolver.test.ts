import { expect } from 'chai';
import sinon from 'sinon';
import type { LookupOptions, Resolver } from '../../lib/apiserver/resolver.js';
import { StatusError } from '../../lib/apiserver/status-error.js';
import { upstreamResolver, type UpstreamResolverOptions } from '../../lib/apiserver/upstream-resolver.js';
import { InvalidOptionError } from '../../lib/errors.js';
import { rejection } from '../support/dialer.js';
import { callerNamed } from './targets/cluster.js';
import { FakeUpstream } from './targets/fake-upstream.js';
import { thrownBy } from './targets/thrown-by.js';

const as = (name: string): LookupOptions => ({ caller: callerNamed(name) });
const alice = as('alice');

const POD = '/api/v1/namespaces/shop/pods/cart';
const SERVICE = '/api/v1/namespaces/shop/services/cart';
const SLICES =
  '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dcart';
const ENDPOINTS = '/api/v1/namespaces/shop/endpoints/cart';

const targetRef = { kind: 'Pod', namespace: 'shop', name: 'cart', uid: 'u' };
const pod = { namespace: 'shop', name: 'cart' };

const slicesOf = (...items: readonly object[]): object => ({ kind: 'EndpointSliceList', items });
const slice = (addressType: string, ...endpoints: readonly object[]): object => ({
  addressType,
  endpoints,
  ports: [
    { name: '', port: 80, protocol: 'TCP' },
    { name: 'p', port: 93 },
  ],
});

describe('apiserver: the resolver over an upstream', () => {
  let upstream: FakeUpstream;

  beforeEach(() => {
    upstream = new FakeUpstream();
  });

  const resolver = (options?: UpstreamResolverOptions): Resolver =>
    upstreamResolver(upstream, { lookupsAs: 'caller', ...options });

  it('reads of a node where its kubelet is', async () => {
    upstream.answers['/api/v1/nodes/node-1'] = {
      kind: 'Node',
      metadata: { name: 'node-1', labels: { secret: 'x' } },
      status: {
        addresses: [{ type: 'InternalIP', address: '10.0.0.11' }, { type: 'Hostname' }, 'rubbish', null],
        daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
        images: [{}],
      },
    };
    expect(await resolver().node('node-1', alice)).to.deep.equal({
      metadata: { name: 'node-1' },
      status: {
        addresses: [{ type: 'InternalIP', address: '10.0.0.11' }],
        daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      },
    });
  });

  it('reads of a pod where it is, and what its containers are called', async () => {
    upstream.answers[POD] = {
      kind: 'Pod',
      metadata: { name: 'cart', namespace: 'shop', uid: 'u', annotations: {} },
      spec: {
        nodeName: 'node-1',
        containers: [
          {
            name: 'app',
            image: 'x',
            ports: [{ containerPort: 80 }, { containerPort: '81' }, { containerPort: 70_000 }],
          },
          { image: 'nameless' },
        ],
        initContainers: [{ name: 'init' }],
      },
      status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'fd00::7' }], phase: 'Running' },
    };
    expect(await resolver().pod('shop', 'cart', alice)).to.deep.equal({
      metadata: { name: 'cart', namespace: 'shop', uid: 'u' },
      spec: {
        nodeName: 'node-1',
        containers: [{ name: 'app', ports: [{ containerPort: 80 }] }],
        initContainers: [{ name: 'init', ports: [] }],
        ephemeralContainers: [],
      },
      status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'fd00::7' }] },
    });
  });

  it('reads the ports of a service', async () => {
    upstream.answers[SERVICE] = {
      kind: 'Service',
      spec: { ports: [{ port: 80 }, { name: 'p', port: 93 }, { name: 'q' }] },
    };
    const service = await resolver().service('shop', 'cart', alice);
    expect(service).to.deep.equal({ spec: { ports: [{ port: 80 }, { name: 'p', port: 93 }] } });
  });

  it('finds nothing where the upstream finds nothing', async () => {
    const nothing = resolver();
    expect(await nothing.node('n', alice)).to.equal(undefined);
    expect(await nothing.pod('shop', 'cart', alice)).to.equal(undefined);
    expect(await nothing.service('shop', 'cart', alice)).to.equal(undefined);
    expect(await nothing.endpoints('shop', 'cart', alice)).to.deep.equal([]);
  });

  it('never asks for what no object can be called', async () => {
    const asking = resolver();
    for (const name of [
      '',
      '.',
      '..',
      'a/b',
      'a%2fb',
      '%2e%2e',
      'a?b',
      'a#b',
      'a b',
      'A',
      'ä',
      'a\n',
      'x'.repeat(254),
    ]) {
      expect(await asking.node(name, alice)).to.equal(undefined);
      expect(await asking.pod(name, 'cart', alice)).to.equal(undefined);
      expect(await asking.pod('shop', name, alice)).to.equal(undefined);
      expect(await asking.service(name, 'cart', alice)).to.equal(undefined);
      expect(await asking.service('shop', name, alice)).to.equal(undefined);
      expect(await asking.endpoints(name, 'cart', alice)).to.deep.equal([]);
      expect(await asking.endpoints('shop', name, alice)).to.deep.equal([]);
    }
    expect(upstream.asked).to.deep.equal([]);
  });

  describe('of the endpoints of a service', () => {
    const ports = [
      { name: '', port: 80 },
      { name: 'p', port: 93 },
    ];
    const ready = (address: string): object => ({
      addresses: [address],
      conditions: { ready: true },
      targetRef,
    });
    const addresses = async (): Promise<string[]> =>
      (await resolver().endpoints('shop', 'cart', alice)).map(({ address }) => address);

    beforeEach(() => {
      upstream.answers[SERVICE] = { kind: 'Service', spec: { ports: [], ipFamilies: ['IPv4', 'IPv6'] } };
    });

    it('reads the ready ones from EndpointSlices', async () => {
      upstream.answers[SLICES] = slicesOf(
        slice('IPv4', {
          addresses: ['1.2.3.4', '1.2.3.5'],
          conditions: { ready: true },
          nodeName: 'node-1',
          targetRef,
        }),
        slice(
          'IPv4',
          { addresses: ['1.2.3.6'], targetRef: { ...targetRef, kind: 'VM' } },
          { addresses: ['1.2.3.7'], conditions: {} },
        ),
        slice(
          'IPv4',
          { addresses: ['1.2.3.8'], conditions: { ready: false }, targetRef },
          { addresses: [] },
          {},
        ),
      );
      expect(await resolver().endpoints('shop', 'cart', alice)).to.deep.equal([
        { address: '1.2.3.4', isReady: true, nodeName: 'node-1', pod, ports },
        { address: '1.2.3.6', isReady: true, nodeName: undefined, pod: undefined, ports },
        { address: '1.2.3.7', isReady: true, nodeName: undefined, pod: undefined, ports },
      ]);
      expect(upstream.asked).to.deep.equal([`alice ${SERVICE}`, `alice ${SLICES}`]);
    });

    it('prefers those of the primary family of the service', async () => {
      upstream.answers[SLICES] = slicesOf(slice('IPv6', ready('fd00::1')), slice('IPv4', ready('1.2.3.4')));
      expect(await addresses()).to.deep.equal(['1.2.3.4']);
      upstream.answers[SERVICE] = { kind: 'Service', spec: { ipFamilies: ['IPv6', 'IPv4'] } };
      expect(await addresses()).to.deep.equal(['fd00::1']);
    });

    it('takes those of the other family when the primary one has none that is ready', async () => {
      const notReady = { ...ready('1.2.3.4'), conditions: { ready: false } };
      upstream.answers[SLICES] = slicesOf(slice('IPv6', ready('fd00::1')), slice('IPv4', notReady));
      expect(await addresses()).to.deep.equal(['fd00::1']);
    });

    it('leaves out those that are names', async () => {
      upstream.answers[SLICES] = slicesOf(slice('FQDN', ready('example.com')));
      expect(await addresses()).to.deep.equal([]);
    });

    it('reads them from Endpoints where a cluster knows no slices', async () => {
      upstream.answers[ENDPOINTS] = {
        kind: 'Endpoints',
        subsets: [
          {
            addresses: [{ ip: '1.2.3.4', nodeName: 'node-1', targetRef }, { hostname: 'x' }],
            notReadyAddresses: [{ ip: '1.2.3.5', targetRef }],
            ports: [{ port: 80 }, { name: 'p', port: 93 }],
          },
          { notReadyAddresses: [{ ip: '1.2.3.6', targetRef }] },
        ],
      };
      const found = await resolver().endpoints('shop', 'cart', alice);
      expect(found).to.deep.equal([{ address: '1.2.3.4', isReady: true, nodeName: 'node-1', pod, ports }]);
      expect(upstream.asked.at(-1)).to.equal(`alice ${ENDPOINTS}`);
    });

    it('does not turn to Endpoints where slices are refused', async () => {
      upstream.answers[SLICES] = new StatusError(403, 'Forbidden', 'endpointslices is forbidden');
      upstream.answers[ENDPOINTS] = { kind: 'Endpoints', subsets: [] };
      expect(await rejection(resolver().endpoints('shop', 'cart', alice))).to.include({ code: 403 });
      expect(upstream.asked).to.not.include(`alice ${ENDPOINTS}`);
    });

    it('keeps no more of them than an Endpoints object would hold', async () => {
      const many = Array.from({ length: 1500 }, (_, index) => ready(`10.0.${index >> 8}.${index & 255}`));
      upstream.answers[SLICES] = slicesOf(slice('IPv4', ...many));
      expect(await addresses()).to.have.length(1000);
    });

    it('asks again when there was none', async () => {
      upstream.answers[SLICES] = slicesOf();
      const asking = resolver();
      expect(await asking.endpoints('shop', 'cart', alice)).to.deep.equal([]);
      upstream.answers[SLICES] = slicesOf(slice('IPv4', ready('1.2.3.4')));
      expect(await asking.endpoints('shop', 'cart', alice)).to.have.length(1);
      expect(await asking.endpoints('shop', 'cart', alice)).to.have.length(1);
      expect(upstream.asked).to.deep.equal([`alice ${SERVICE}`, `alice ${SLICES}`, `alice ${SLICES}`]);
    });
  });

  describe('in whose name it asks', () => {
    beforeEach(() => {
      upstream.answers['/api/v1/nodes/n'] = { kind: 'Node' };
      upstream.answers[POD] = { kind: 'Pod' };
    });

    it("is the proxy's, as in kube-apiserver", async () => {
      const asking = upstreamResolver(upstream);
      await asking.pod('shop', 'cart', alice);
      await asking.node('n', alice);
      expect(upstream.asked).to.deep.equal([`proxy ${POD}`, 'proxy /api/v1/nodes/n']);
    });

    it("is the caller's if they are to be asked for, but for nodes", async () => {
      const asking = resolver();
      await asking.pod('shop', 'cart', alice);
      await asking.node('n', alice);
      expect(upstream.asked).to.deep.equal([`alice ${POD}`, 'proxy /api/v1/nodes/n']);
    });

    it("is the proxy's or the caller's as the options say", async () => {
      const asking = resolver({ lookupsAs: 'proxy', nodesAs: 'caller' });
      await asking.pod('shop', 'cart', alice);
      await asking.node('n', alice);
      expect(upstream.asked).to.deep.equal([`proxy ${POD}`, 'alice /api/v1/nodes/n']);
    });

    it('tells nobody what another caller has seen', async () => {
      const asking = resolver();
      expect(await asking.pod('shop', 'cart', alice)).to.not.equal(undefined);
      upstream.answers[POD] = new StatusError(403, 'Forbidden', 'pods "cart" is forbidden');
      expect(await rejection(asking.pod('shop', 'cart', as('bob')))).to.include({ code: 403 });
      expect(await asking.pod('shop', 'cart', alice)).to.not.equal(undefined);
    });

    it('shares what the proxy has seen among all callers', async () => {
      const asking = resolver({ lookupsAs: 'proxy' });
      await Promise.all([asking.pod('shop', 'cart', alice), asking.pod('shop', 'cart', as('bob'))]);
      await asking.pod('shop', 'cart', as('carol'));
      expect(upstream.asked).to.deep.equal([`proxy ${POD}`]);
    });

    it('cannot be mistaken: no key of a caller is that of the proxy, nor of another with other names', async () => {
      const asking = resolver({ nodesAs: 'caller' });
      for (const key of ['', 'null', 'proxy', 'a","shop']) await asking.pod('shop', 'cart', as(key));
      expect(upstream.asked).to.have.length(4);
    });

    it('hands on the refusal of a caller with its message', async () => {
      const refused = new StatusError(403, 'Forbidden', 'pods "cart" is forbidden: User "alice" cannot get');
      upstream.answers[POD] = refused;
      expect(await rejection(resolver().pod('shop', 'cart', alice))).to.equal(refused);
    });

    it('does not refuse a caller for what the proxy may not do', async () => {
      upstream.answers['/api/v1/nodes/n'] = new StatusError(403, 'Forbidden', 'nodes "n" is forbidden');
      const error = await rejection(resolver().node('n', alice));
      expect(error).to.be.instanceOf(StatusError).and.include({ code: 503, reason: 'ServiceUnavailable' });
      expect(error.message).to.contain('nodes "n" is forbidden');
    });
  });

  it('hands on what the upstream fails with', async () => {
    const failure = new StatusError(504, 'Timeout', 'the API server did not answer');
    upstream.answers[POD] = failure;
    expect(await rejection(resolver().pod('shop', 'cart', alice))).to.equal(failure);
  });

  for (const answer of [null, [], 'Pod', 7, {}, { kind: 'Status' }, { kind: 'PodList', items: [] }])
    it(`does not take ${JSON.stringify(answer)} for a pod`, async () => {
      upstream.answers[POD] = answer;
      const error = await rejection(resolver().pod('shop', 'cart', alice));
      expect(error).to.be.instanceOf(StatusError).and.include({ code: 503 });
    });

  it('takes nothing of a wrong type from an answer', async () => {
    const rubbish = [null, 7, 'x', [], {}, [null, 7, 'x', [[]], {}]];
    for (const each of rubbish) {
      upstream.answers['/api/v1/nodes/n'] = {
        kind: 'Node',
        metadata: each,
        status: { addresses: each, daemonEndpoints: each },
      };
      upstream.answers[POD] = {
        kind: 'Pod',
        metadata: each,
        spec: { nodeName: [each], containers: each },
        status: { podIP: [each], podIPs: each },
      };
      upstream.answers[SERVICE] = { kind: 'Service', spec: { ports: each, ipFamilies: each } };
      upstream.answers[SLICES] = slicesOf(
        { addressType: each, endpoints: each, ports: each },
        { endpoints: [{ addresses: each, conditions: each, targetRef: each }] },
      );
      const asking = resolver();
      expect((await asking.node('n', alice))?.status?.addresses).to.deep.equal([]);
      expect((await asking.pod('shop', 'cart', alice))?.status?.podIP).to.equal(undefined);
      expect((await asking.service('shop', 'cart', alice))?.spec?.ports).to.deep.equal([]);
      for (const { address } of await asking.endpoints('shop', 'cart', alice))
        expect(address).to.be.a('string');
    }
  });

  it("gives up with the caller's signal, but not for others", async () => {
    upstream.answers[POD] = { kind: 'Pod' };
    const asking = resolver();
    const giveUp = new AbortController();
    const [one, other] = [
      rejection(asking.pod('shop', 'cart', { ...alice, signal: giveUp.signal })),
      asking.pod('shop', 'cart', alice),
    ];
    const reason = new Error('changed my mind');
    giveUp.abort(reason);
    expect(await one).to.equal(reason);
    expect(await other).to.not.equal(undefined);
    expect(upstream.asked).to.have.length(1);
  });

  it('remembers nodes and services for five seconds, and pods and endpoints, whose addresses others may have soon, for one', async () => {
    const clock = sinon.useFakeTimers({ toFake: ['performance'] });
    try {
      upstream.answers['/api/v1/nodes/n'] = { kind: 'Node' };
      upstream.answers[POD] = { kind: 'Pod' };
      upstream.answers[SERVICE] = { kind: 'Service' };
      upstream.answers[SLICES] = slicesOf(
        slice('IPv4', { addresses: ['10.0.0.1'], conditions: {}, targetRef }),
      );
      const asking = resolver();
      const lookAll = async (): Promise<readonly string[]> => {
        const before = upstream.asked.length;
        await asking.node('n', alice);
        await asking.pod('shop', 'cart', alice);
        await asking.endpoints('shop', 'cart', alice);
        return upstream.asked.slice(before).map((asked) => asked.replace(/^\w+ /, ''));
      };
      expect(await lookAll()).to.have.members(['/api/v1/nodes/n', POD, SERVICE, SLICES]);
      clock.tick(999);
      expect(await lookAll()).to.deep.equal([]);
      clock.tick(1);
      expect(await lookAll()).to.deep.equal([POD, SLICES]);
      clock.tick(4000);
      expect(await lookAll()).to.have.members(['/api/v1/nodes/n', POD, SERVICE, SLICES]);
    } finally {
      clock.restore();
    }
  });

  it('asks again for what it is to forget, and for nothing else', async () => {
    upstream.answers['/api/v1/nodes/n'] = { kind: 'Node' };
    upstream.answers[POD] = { kind: 'Pod' };
    upstream.answers[SERVICE] = { kind: 'Service' };
    for (const lookupsAs of ['caller', 'proxy'] as const) {
      const asking = resolver({ lookupsAs, cacheMs: 600_000 });
      const lookAll = async (): Promise<readonly string[]> => {
        const before = upstream.asked.length;
        await asking.node('n', alice);
        await asking.service('shop', 'cart', alice);
        return upstream.asked.slice(before).map((asked) => asked.replace(/^\w+ /, ''));
      };
      await lookAll();
      asking.forget?.({ kind: 'node', name: 'n' }, alice);
      expect(await lookAll()).to.deep.equal(['/api/v1/nodes/n']);
      asking.forget?.({ kind: 'service', namespace: 'shop', name: 'cart' }, alice);
      expect(await lookAll()).to.deep.equal([SERVICE]);
      asking.forget?.({ kind: 'service', namespace: 'shop', name: 'other' }, alice);
      expect(await lookAll()).to.deep.equal([]);
    }
  });

  it('refuses options that it does not know', () => {
    for (const [options, option] of [
      [{ cacheMs: -1 }, 'cacheMs'],
      [{ lookupsAs: 'anybody' }, 'lookupsAs'],
      [{ cache: 1 }, 'cache'],
    ] as const)
      expect(thrownBy(() => upstreamResolver(upstream, options as object)))
        .to.be.instanceOf(InvalidOptionError)
        .and.include({ option });
  });
});
