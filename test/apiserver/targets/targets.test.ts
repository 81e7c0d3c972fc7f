import { expect } from 'chai';
import type { Backend } from '../../../lib/apiserver/backend.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import type { ServiceEndpoint } from '../../../lib/apiserver/resolver.js';
import { Backends } from '../../../lib/apiserver/targets/backends.js';
import { Targets } from '../../../lib/apiserver/targets/targets.js';
import { begin, RecordingDialer } from '../../http/stage.js';
import { rejection } from '../../support/dialer.js';
import { seededRandom } from '../../support/seeded-random.js';
import { Cluster, lookup, nodeAt, podAt } from './cluster.js';

const urlOf = ({ scheme, authority }: Backend): string => `${scheme}://${authority}`;

/** Reaches nothing, but remembers what it was asked for. */
const dialer = new RecordingDialer({
  dial: () => Promise.reject(new Error('dialled')),
  close: () => Promise.resolve(),
  destroy: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

/** Which node is to carry a connection, the one for an upgrade and those of the agent alike. */
async function carrierOf(backend: Backend): Promise<string | undefined> {
  const before = dialer.options.length;
  await rejection(backend.connect());
  await rejection(begin({ agent: backend.agent, host: backend.host, port: backend.port }));
  const [one, other, ...more] = dialer.options.slice(before).map(({ node }) => node);
  expect(other).to.equal(one);
  expect(more).to.deep.equal([]);
  return one;
}

describe('apiserver: targets', () => {
  let cluster: Cluster;
  let backends: Backends;
  let targets: Targets;

  beforeEach(() => {
    cluster = new Cluster();
    backends = new Backends(dialer, { kubelet: { insecureSkipTLSVerify: true } });
    targets = new Targets(cluster, backends, seededRandom(1));
  });
  afterEach(() => backends.close());

  const refusal = async (promise: Promise<unknown>): Promise<object> => {
    const error = await rejection(promise);
    expect(error).to.be.instanceOf(StatusError);
    return JSON.parse(JSON.stringify(error)) as object;
  };

  it('that cannot be reached are looked up anew', async () => {
    cluster.pods['default/foo'] = podAt('1.2.3.4', [[80]], 'node-1');
    cluster.nodes['node-1'] = nodeAt('node-1', { InternalIP: '10.0.0.1' });
    cluster.services['default/web'] = { spec: { ports: [{ port: 80 }] } };
    const pod = { namespace: 'default', name: 'foo' };
    cluster.slices['default/web'] = [
      { address: '1.2.3.4', isReady: true, pod, ports: [{ name: '', port: 80 }] },
    ];
    for (const [found, forgotten] of [
      [await targets.pod('default', 'foo', lookup), ['pod default foo']],
      [await targets.node('node-1', lookup), ['node node-1']],
      [await targets.node('node-1:80', lookup), ['node node-1']],
      [await targets.kubeletOf(cluster.pods['default/foo'] ?? { metadata: {} }, lookup), ['node node-1']],
      [await targets.service('default', 'web:80', lookup), ['service default web', 'pod default foo']],
    ] as const) {
      found.onUnreachable?.();
      expect(cluster.forgotten.splice(0)).to.deep.equal(forgotten);
    }
  });

  describe('of pods', () => {
    const pod = (text: string): Promise<Backend> => targets.pod('default', text, lookup);

    it('AC-2 have the first port of the first container that has one', async () => {
      cluster.pods['default/foo'] = podAt('1.2.3.4', [[], [9376, 80], [81]]);
      const backend = await pod('foo');
      expect(backend).to.include({ scheme: 'http', host: '1.2.3.4', port: 9376, authority: '1.2.3.4:9376' });
    });

    it('AC-2 have the port of the scheme when no container has any, and name none', async () => {
      cluster.pods['default/foo'] = podAt('1.2.3.4', [[]]);
      expect(await pod('foo')).to.include({ port: 80, authority: '1.2.3.4' });
      expect(await pod('https:foo:')).to.include({ scheme: 'https', port: 443, authority: '1.2.3.4' });
    });

    it('AC-2 have the port that is told, whatever their containers have', async () => {
      cluster.pods['default/foo'] = podAt('1.2.3.4', [[9376]]);
      expect(await pod('foo:12345')).to.include({ port: 12_345, authority: '1.2.3.4:12345' });
      expect(urlOf(await pod('https:foo:443'))).to.equal('https://1.2.3.4:443');
    });

    it('AC-3 stand in brackets when they are of IPv6', async () => {
      cluster.pods['default/foo'] = podAt('2001:db8::');
      expect(await pod('foo')).to.include({ host: '2001:db8::', port: 80, authority: '[2001:db8::]' });
      expect(await pod('foo:12345')).to.include({ host: '2001:db8::', authority: '[2001:db8::]:12345' });
    });

    it('AC-3 are at their first address when they have two', async () => {
      cluster.pods['default/foo'] = podAt(['2001:db8::', '1.2.3.4']);
      expect(await pod('foo')).to.include({ host: '2001:db8::' });
      cluster.pods['default/foo'] = podAt(['1.2.3.4', '2001:db8::']);
      expect(await pod('foo')).to.include({ host: '1.2.3.4' });
    });

    for (const address of [
      '',
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      'fe80::1',
      '224.0.0.1',
      '::ffff:127.0.0.1',
      'localhost',
      'example.com',
    ])
      it(`AC-4 are refused at ${address || 'no address'}`, async () => {
        cluster.pods['default/foo'] = podAt(address, [], 'node-1');
        expect(await refusal(pod('foo:80'))).to.include({
          code: 400,
          reason: 'BadRequest',
          message: 'address not allowed',
        });
      });

    it('AC-4 are refused before they have an address', async () => {
      cluster.pods['default/foo'] = { metadata: { name: 'foo' } };
      expect(await refusal(pod('foo'))).to.include({ code: 400, message: 'address not allowed' });
    });

    it('have no ports by name, and none that there cannot be', async () => {
      cluster.pods['default/foo'] = podAt('1.2.3.4', [[9376]]);
      for (const text of ['foo:http', 'foo:0', 'foo:65536', 'foo:-1', 'foo:080'])
        expect(await refusal(pod(text))).to.include({ code: 400, message: `invalid pod request "${text}"` });
    });

    it('that are not there are told as kube-apiserver does', async () => {
      expect(await refusal(pod('foo'))).to.deep.equal({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'pods "foo" not found',
        reason: 'NotFound',
        details: { name: 'foo', kind: 'pods' },
        code: 404,
      });
    });

    it('are carried by their node, if they have one', async () => {
      cluster.pods['default/foo'] = podAt('1.2.3.4', [], 'node-1');
      expect(await carrierOf(await pod('foo'))).to.equal('node-1');
      expect(await carrierOf(await pod('https:foo:443'))).to.equal('node-1');
      cluster.pods['default/foo'] = podAt('1.2.3.4');
      expect(await carrierOf(await pod('foo'))).to.equal(undefined);
    });

    it('are not looked up by a name that none can have', async () => {
      await refusal(pod('../secrets'));
      await refusal(targets.node('a/b', lookup));
      await refusal(targets.service('default', '..', lookup));
      expect(cluster.asked).to.deep.equal([]);
    });
  });

  describe('of services', () => {
    const service = (text: string): Promise<Backend> => targets.service('default', text, lookup);
    const ports = [
      { name: '', port: 80 },
      { name: 'p', port: 93 },
    ];
    const at = (address: string, changes: Partial<ServiceEndpoint> = {}): ServiceEndpoint => ({
      address,
      isReady: true,
      pod: { namespace: 'default', name: 'foo' },
      ports,
      ...changes,
    });

    beforeEach(() => {
      cluster.services['default/foo'] = { spec: { ports: [{ name: 'p', port: 9393 }, { port: 93 }] } };
      cluster.pods['default/foo'] = podAt('1.2.3.4', [], 'node-1');
      cluster.slices['default/foo'] = [at('1.2.3.4')];
    });

    const expected = {
      foo: 'http://1.2.3.4:80',
      'foo:p': 'http://1.2.3.4:93',
      'foo:93': 'http://1.2.3.4:80',
      'foo:9393': 'http://1.2.3.4:93',
      'http:foo:p': 'http://1.2.3.4:93',
      'https:foo:p': 'https://1.2.3.4:93',
      'https:foo:': 'https://1.2.3.4:80',
    };
    for (const [text, url] of Object.entries(expected))
      it(`AC-5 are at the endpoint's port of the name that belongs to ${text}`, async () => {
        expect(urlOf(await service(text))).to.equal(url);
      });

    it('AC-5 stand in brackets when they are of IPv6', async () => {
      cluster.pods['default/foo'] = podAt('2001:db7::');
      cluster.slices['default/foo'] = [at('2001:db7::')];
      expect(urlOf(await service('foo'))).to.equal('http://[2001:db7::]:80');
    });

    const none = {
      code: 503,
      reason: 'ServiceUnavailable',
      message: 'no endpoints available for service "foo"',
    };

    it('AC-6 have no endpoints for a port that none of them has', async () => {
      expect(await refusal(service('foo:q'))).to.include(none);
    });

    const useless: Record<string, ServiceEndpoint> = {
      'whose pod is missing': at('1.2.3.4', { pod: { namespace: 'default', name: 'bar' } }),
      'whose pod is of another namespace': at('1.2.3.4', { pod: { namespace: 'other', name: 'foo' } }),
      "that are not their pod's": at('1.2.3.5'),
      'without a pod': at('1.2.3.4', { pod: undefined }),
      'that are not ready': at('1.2.3.4', { isReady: false }),
    };
    for (const [what, endpoint] of Object.entries(useless))
      it(`AC-6 are not proxied to at addresses ${what}`, async () => {
        cluster.pods['other/foo'] = podAt('1.2.3.4');
        cluster.slices['default/foo'] = [endpoint];
        expect(await refusal(service('foo'))).to.include(none);
        cluster.slices['default/foo'] = [endpoint, at('1.2.3.4'), endpoint];
        expect(urlOf(await service('foo'))).to.equal('http://1.2.3.4:80');
      });

    it('AC-6 have no port of a number that is none of theirs', async () => {
      for (const port of ['80', '0', '-1', '99999999999999999999'])
        expect(await refusal(service(`foo:${port}`))).to.include({
          code: 503,
          reason: 'ServiceUnavailable',
          message: `no service port ${port} found for service "foo"`,
        });
    });

    it('AC-4 are not proxied to at an address that is not global, though a pod says that it has it', async () => {
      for (const address of ['127.0.0.1', '::1', '169.254.169.254', '::ffff:127.0.0.1', 'localhost']) {
        cluster.pods['default/foo'] = podAt(address);
        cluster.slices['default/foo'] = [at(address)];
        expect(await refusal(service('foo'))).to.include(none);
      }
    });

    it('that are not there are told as kube-apiserver does', async () => {
      expect(await refusal(service('bar'))).to.include({ code: 404, message: 'services "bar" not found' });
    });

    it("are carried by the node of the endpoint's pod, else by the one that the endpoint tells", async () => {
      cluster.slices['default/foo'] = [at('1.2.3.4', { nodeName: 'node-2' })];
      expect(await carrierOf(await service('foo'))).to.equal('node-1');
      cluster.pods['default/foo'] = podAt('1.2.3.4');
      expect(await carrierOf(await service('foo'))).to.equal('node-2');
    });

    it('are taken at random', async () => {
      const addresses = ['1.2.3.1', '1.2.3.2', '1.2.3.3'];
      cluster.pods['default/foo'] = podAt(addresses);
      cluster.slices['default/foo'] = addresses.map((address) => at(address));
      const seen = new Map<string, number>();
      for (let left = 300; left > 0; left -= 1) {
        const { host } = await service('foo');
        seen.set(host, (seen.get(host) ?? 0) + 1);
      }
      expect([...seen.keys()].sort()).to.deep.equal(addresses);
      expect(Math.min(...seen.values())).to.be.above(60);
    });

    it('cost a bounded number of lookups, however many endpoints are none', async () => {
      cluster.slices['default/foo'] = Array.from({ length: 500 }, (_, index) =>
        at(`1.2.4.${index % 250}`, { pod: { namespace: 'default', name: `no-${index}` } }),
      );
      expect(await refusal(service('foo'))).to.include(none);
      expect(cluster.asked).to.have.length(16);
    });
  });

  describe('of nodes', () => {
    const node = (text: string): Promise<Backend> => targets.node(text, lookup);

    it('AC-7 are their kubelet at its port or at none, whatever the scheme', async () => {
      cluster.nodes.n = nodeAt('n', { InternalIP: '10.0.0.11' });
      for (const text of ['n', 'n:', 'n:10250', 'http:n:10250', 'https:n:10250', 'http:n:'])
        expect(urlOf(await node(text)), text).to.equal('https://10.0.0.11:10250');
    });

    it('AC-7 are their kubelet at the port that the node tells', async () => {
      cluster.nodes.n = nodeAt('n', { InternalIP: '10.0.0.11' }, 12_345);
      expect(urlOf(await node('n'))).to.equal('https://10.0.0.11:12345');
      expect(urlOf(await node('n:12345'))).to.equal('https://10.0.0.11:12345');
      expect(urlOf(await node('n:10250'))).to.equal('http://10.0.0.11:10250');
    });

    it('AC-7 are at another port by the scheme that is told', async () => {
      cluster.nodes.n = nodeAt('n', { InternalIP: '10.0.0.11' });
      expect(urlOf(await node('n:9100'))).to.equal('http://10.0.0.11:9100');
      expect(urlOf(await node('http:n:9100'))).to.equal('http://10.0.0.11:9100');
      expect(urlOf(await node('https:n:9100'))).to.equal('https://10.0.0.11:9100');
    });

    it('AC-7 are dialled at the address that kube-apiserver prefers', async () => {
      const addresses = {
        ExternalIP: '1.2.3.4',
        ExternalDNS: 'n.example.com',
        InternalIP: '10.0.0.11',
        InternalDNS: 'n.internal',
        Hostname: 'n',
      };
      const left = Object.entries(addresses);
      const dialled: string[] = [];
      while (left.length > 0) {
        cluster.nodes.n = nodeAt('n', Object.fromEntries(left));
        dialled.push((await node('n')).host);
        left.pop();
      }
      expect(dialled).to.deep.equal(['n', 'n.internal', '10.0.0.11', 'n.example.com', '1.2.3.4']);
    });

    it('AC-7 are asked for at another port at the first IP address, because a name could be loopback to the node', async () => {
      cluster.nodes.n = nodeAt('n', {
        Hostname: 'n',
        InternalDNS: 'n.internal',
        ExternalIP: '1.2.3.4',
        InternalIP: '10.0.0.11',
      });
      expect((await node('n')).host).to.equal('n');
      expect((await node('n:9100')).host).to.equal('10.0.0.11');
      cluster.nodes.n = nodeAt('n', { Hostname: 'n' });
      expect(await refusal(node('n:9100'))).to.include({ code: 400, message: 'address not allowed' });
    });

    for (const address of [
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      'fe80::1',
      '224.0.0.1',
      '::ffff:127.0.0.1',
      'localhost',
      'a.localhost',
    ])
      it(`AC-4 are refused at ${address}, at every port`, async () => {
        cluster.nodes.n = nodeAt('n', { Hostname: address });
        for (const text of ['n', 'n:10250', 'http:n:9100', 'https:n:443'])
          expect(await refusal(node(text)), text).to.include({ code: 400, message: 'address not allowed' });
      });

    it('AC-4 are not tried at a further address when the preferred one is refused', async () => {
      cluster.nodes.n = nodeAt('n', { InternalIP: '127.0.0.1', ExternalIP: '1.2.3.4' });
      expect(await refusal(node('n'))).to.include({ message: 'address not allowed' });
      expect(await refusal(node('n:9100'))).to.include({ message: 'address not allowed' });
    });

    it('without an address, or with one that is none, are refused', async () => {
      for (const addresses of [{}, { InternalIP: '127.1' }, { Hostname: 'a/b' }]) {
        cluster.nodes.n = nodeAt('n', addresses);
        expect(await refusal(node('n'))).to.include({ code: 500 });
      }
    });

    it('are carried by themselves, under the name that they were asked for by', async () => {
      cluster.nodes.n = { ...nodeAt('other', { InternalIP: '10.0.0.11' }) };
      expect(await carrierOf(await node('n'))).to.equal('n');
      expect(await carrierOf(await node('n:9100'))).to.equal('n');
    });

    it('have no ports by name', async () => {
      cluster.nodes.n = nodeAt('n', { InternalIP: '10.0.0.11' });
      expect(await refusal(node('n:http'))).to.include({
        code: 400,
        message: 'invalid node request "n:http"',
      });
    });

    it('that are not there are told as kube-apiserver does', async () => {
      expect(await refusal(node('n'))).to.include({ code: 404, message: 'nodes "n" not found' });
    });
  });

  describe('of logs and streams', () => {
    it("are the kubelet of the pod's node", async () => {
      cluster.nodes['node-1'] = nodeAt('node-1', { InternalIP: '10.0.0.11' });
      const backend = await targets.kubeletOf(podAt('1.2.3.4', [], 'node-1'), lookup);
      expect(urlOf(backend)).to.equal('https://10.0.0.11:10250');
    });

    it('AC-48 are none for a pod without a node', async () => {
      const unscheduled = { metadata: { name: 'X' }, spec: { nodeName: '' } };
      for (const pod of [unscheduled, { metadata: { name: 'X' } }])
        expect(await refusal(targets.kubeletOf(pod, lookup))).to.include({
          code: 400,
          reason: 'BadRequest',
          message: 'pod X does not have a host assigned',
        });
    });

    it('are none when the node is gone', async () => {
      const pod = podAt('1.2.3.4', [], 'node-1');
      expect(await refusal(targets.kubeletOf(pod, lookup))).to.include({ code: 404 });
    });
  });
});
