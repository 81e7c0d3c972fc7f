import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { V1Node } from '@kubernetes/client-node';
import { ClosedError, InvalidOptionError, NoRouteError, type Dialer } from '../../lib/index.js';
import {
  KubeletAnswerError,
  KubeletClient,
  KubeletError,
  KubeletTimeoutError,
  type KubeletClientOptions,
} from '../../lib/kubelet/index.js';
import { httpsAgent } from '../../lib/http/index.js';
import type { KubeletAccess } from '../../lib/kubelet/kubelet-access.js';
import { askForText, MAX_JSON_LENGTH } from '../../lib/kubelet/request.js';
import { createAuthority } from '../../lib/testing/certificates.js';
import { rejection, until, warningsDuring } from '../support/dialer.js';
import { expectNoLeaks } from '../support/leaks.js';
import { Stage } from '../http/stage.js';
import { KubeletStage } from './stage.js';

const authority = createAuthority('cluster-ca');

describe('kubelet: the node', () => {
  const nobody: Dialer = {
    dial: () => Promise.reject(new NoRouteError('nobody')),
    close: () => Promise.resolve(),
    destroy: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const endpoint = (
    node: KubeletClientOptions['node'],
    options: Partial<KubeletClientOptions> = {},
  ): string => {
    const client = new KubeletClient(nobody, { node, insecureSkipTLSVerify: true, ...options });
    return `${client.node} ${client.host} ${client.port}`;
  };
  const addresses = [
    { type: 'InternalIP', address: '10.0.0.11' },
    { type: 'InternalIP', address: 'fd00::11' },
    { type: 'ExternalIP', address: '203.0.113.11' },
  ];

  it('may be a name, a name with address and port, or a Node', () => {
    expect(endpoint('node-1')).to.equal('node-1 node-1 10250');
    expect(endpoint('node-1', { port: 1 })).to.equal('node-1 node-1 1');
    expect(endpoint({ name: 'node-1' })).to.equal('node-1 node-1 10250');
    expect(endpoint({ name: 'node-1', address: '10.0.0.11', port: 2 }, { port: 1 })).to.equal(
      'node-1 10.0.0.11 2',
    );
    const node = Object.assign(new V1Node(), { metadata: { name: 'node-1' }, status: { addresses } });
    expect(endpoint(node)).to.equal('node-1 10.0.0.11 10250');
  });

  it('is reached at the first address of the first type that it has, and at its own port', () => {
    const status = { addresses: [...addresses, { type: 'Hostname', address: 'host-1' }] };
    expect(endpoint({ metadata: { name: 'node-1' }, status })).to.equal('node-1 host-1 10250');
    const told = { ...status, daemonEndpoints: { kubeletEndpoint: { Port: 10255 } } };
    const node = { metadata: { name: 'node-1' }, status: told };
    expect(endpoint(node, { addressTypes: ['ExternalDNS', 'ExternalIP'], port: 1 })).to.equal(
      'node-1 203.0.113.11 10255',
    );
    const unset = { ...status, daemonEndpoints: { kubeletEndpoint: { Port: 0 } } };
    expect(endpoint({ metadata: { name: 'node-1' }, status: unset }, { port: 3 })).to.equal(
      'node-1 host-1 3',
    );
  });

  const wrong: [string, unknown, Partial<KubeletClientOptions>?][] = [
    ['node', undefined],
    ['node', ''],
    ['node', 'a b'],
    ['node.name', { name: '' }],
    ['node.address', { name: 'node-1', address: '10.0.0.11:10250' }],
    // As a NodeSpec has it.
    ['node.port', { name: 'node-1', address: '10.0.0.11', port: 22 }],
    ['node.adress', { name: 'node-1', adress: '10.0.0.11' }],
    ['node.metadata.name', { metadata: {} }],
    ['node.status.addresses', { metadata: { name: 'node-1' } }],
    [
      'node.status.addresses',
      { metadata: { name: 'node-1' }, status: { addresses } },
      { addressTypes: ['Hostname'] },
    ],
    [
      'node.status.daemonEndpoints.kubeletEndpoint.Port',
      { metadata: { name: 'n' }, status: { addresses, daemonEndpoints: { kubeletEndpoint: { Port: -1 } } } },
    ],
    ['addressTypes', 'node-1', { addressTypes: [] }],
  ];
  for (const [option, node, options] of wrong) {
    it(`is refused when it is wrong: ${JSON.stringify(node)}`, () => {
      expect(() => endpoint(node as string, options))
        .to.throw(InvalidOptionError)
        .with.property('option', option);
    });
  }

  it('that has no address at all can be given another way, and the error says how', () => {
    expect(() => endpoint({ metadata: { name: 'node-1' }, status: { addresses: [] } })).to.throw(
      InvalidOptionError,
      /it has none: give \{ name, address, port \} as node$/,
    );
  });

  it('is the one that carries the request', async () => {
    const error = await rejection(
      new KubeletClient(nobody, { node: 'node-1', insecureSkipTLSVerify: true }).pods(),
    );
    expect(error).to.be.instanceOf(NoRouteError);
  });
});

describe('kubelet: what it tells of itself', () => {
  let stage: KubeletStage;
  beforeEach(async () => (stage = await KubeletStage.start()));
  afterEach(() => stage.end());

  it('are its pods, health, metrics, stats and configuration', async () => {
    const client = stage.client();
    const { items } = await client.pods();
    expect(items.map(({ metadata }) => metadata.name)).to.deep.equal(['web']);
    expect(await client.healthz()).to.equal('ok');
    expect(await client.metrics()).to.match(/^# HELP /m);
    await client.metrics('/metrics/cadvisor').catch(() => undefined);
    expect(await client.statsSummary()).to.have.property('node');
    expect(await client.configz()).to.have.property('kubeletconfig');
    const urls = stage.kubelet.requests.map(({ url }) => url);
    expect(urls).to.deep.equal([
      '/pods',
      '/healthz',
      '/metrics',
      '/metrics/cadvisor',
      '/stats/summary',
      '/configz',
    ]);
    expect(stage.ssh.totalChannels).to.equal(1);
  });

  it('are no other paths', async () => {
    for (const path of ['/pods', 'metrics', '/metrics/../pods', '/metrics?x'])
      expect(await rejection(stage.client().metrics(path))).to.be.instanceOf(InvalidOptionError);
    expect(stage.ssh.totalChannels).to.equal(0);
  });

  it('is refused to nobody in particular', async () => {
    const error = await rejection<KubeletError>(stage.client({ token: undefined }).pods());
    expect(error).to.be.instanceOf(KubeletError);
    expect(error).to.include({
      code: 'ERR_KUBELET_UNAUTHORIZED',
      status: 401,
      text: 'Unauthorized',
      node: 'node-1',
    });
    expect(error.message).to.include('client certificate');
  });

  it('comes over connections that are kept', async () => {
    const client = stage.client();
    for (let count = 0; count < 20; count += 1) await client.healthz();
    expect(stage.ssh.totalChannels).to.equal(1);
  });

  it('may be asked for many times with one signal, without a warning', async () => {
    const client = stage.client();
    const { signal } = new AbortController();
    const ask = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 30 }, () => client.healthz({ signal })));
    expect(await warningsDuring(ask)).to.deep.equal([]);
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it('leaves nothing behind', async () => {
    await stage.client().healthz();
    await expectNoLeaks(async () => {
      const client = stage.client();
      await Promise.all(Array.from({ length: 50 }, () => client.healthz()));
      await client.close();
      await until('the end of the channels', () => stage.ssh.channels <= 1);
    });
  });
});

describe('kubelet: one that misbehaves', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  const client = async (
    listener: Parameters<Stage['http']>[0],
    options: Partial<KubeletClientOptions> = {},
  ): Promise<KubeletClient> => {
    const { certificate: cert, privateKey: key } = authority.issue({
      commonName: 'k',
      altNames: ['127.0.0.1'],
    });
    const { port } = await stage.https({ cert, key }, listener);
    const node = { name: stage.ssh.spec.name, address: '127.0.0.1', port };
    const made = new KubeletClient(stage.recorder, {
      node,
      certificateAuthority: authority.certificate,
      ...options,
    });
    stage.onEnd(() => made.close());
    return made;
  };

  it('is told by status, in its own words, which are bounded and safe for a terminal', async () => {
    const answers: [number, string, string, string][] = [
      [400, '{"message": "Unable to decode query."}', 'ERR_KUBELET_BAD_REQUEST', 'Unable to decode query.'],
      [
        403,
        'Forbidden (user=a,\n verb=get)\u001b[2J\u202e',
        'ERR_KUBELET_FORBIDDEN',
        'Forbidden (user=a,  verb=get) [2J',
      ],
      [404, '', 'ERR_KUBELET_NOT_FOUND', ''],
      [500, 'x'.repeat(1_000_000), 'ERR_KUBELET_STATUS', 'x'.repeat(1000)],
      [302, '{"no', 'ERR_KUBELET_STATUS', '{"no'],
      [204, '', 'ERR_KUBELET_STATUS', ''],
    ];
    const rest = [...answers];
    const kubelet = await client((_request, response) => {
      const [status = 0, text] = rest.shift() ?? [];
      response.writeHead(status).end(text);
    });
    for (const [status, , code, text] of answers) {
      const error = await rejection<KubeletError>(kubelet.healthz());
      expect(error).to.be.instanceOf(KubeletError).and.include({ code, status, text });
      expect(error.message.length).to.be.below(1300);
    }
  });

  it('is not waited for longer than timeoutMs, nor than the signal says', async () => {
    const kubelet = await client((request, response) => request.url === '/pods' && response.write('{'), {
      timeoutMs: 100,
    });
    const name = { namespace: 'default', pod: 'web', container: 'app' };
    for (const call of [
      kubelet.healthz(),
      kubelet.pods(),
      kubelet.exec({ ...name, command: ['date'] }),
      kubelet.attach(name),
      kubelet.portForward({ namespace: 'default', pod: 'web', port: 80 }),
    ])
      expect(await rejection(call)).to.be.instanceOf(KubeletTimeoutError);
    const own = kubelet.exec({ ...name, command: ['date'], timeoutMs: 50 });
    expect((await rejection(own)).message).to.include('within 50 ms');
    const reason = new Error('enough');
    const stop = new AbortController();
    const calls = [
      kubelet.healthz({ signal: stop.signal }),
      kubelet.configz({ signal: AbortSignal.abort(reason) }),
    ].map((call) => rejection(call));
    stop.abort(reason);
    for (const error of await Promise.all(calls)) expect(error).to.equal(reason);
    await until('the end of the channels', () => stage.ssh.channels === 0);
  });

  it('is not asked for a log while a token is not told, nor longer than timeoutMs', async () => {
    let asked = 0;
    const kubelet = await client(() => (asked += 1), {
      token: () => new Promise(() => undefined),
      timeoutMs: 50,
    });
    const name = { namespace: 'default', pod: 'web', container: 'app' };
    for (const follow of [false, true]) {
      const error = await rejection(kubelet.logs({ ...name, follow }));
      expect(error).to.be.instanceOf(KubeletTimeoutError);
      expect(error.message).to.equal('token() did not tell a token within 50 ms');
    }
    expect(asked).to.equal(0);
  });

  it('is left when the client is closed: what is under way goes on, and then no connection is kept', async () => {
    const gates: (() => void)[] = [];
    const kubelet = await client(({ url }, response) => {
      if (url === '/healthz') response.end('ok');
      else gates.push(() => response.end('slow'));
    });
    const slow = kubelet.metrics();
    await until('the request', () => gates.length === 1);
    expect(await kubelet.healthz()).to.equal('ok');
    expect(stage.ssh.channels).to.equal(2);
    await kubelet.close();
    await until('the end of the kept one', () => stage.ssh.channels === 1);
    gates.forEach((open) => open());
    expect(await slow).to.equal('slow');
    await until('the end of the other', () => stage.ssh.channels === 0);
    expect(await rejection(kubelet.healthz())).to.be.instanceOf(ClosedError);
    expect(
      await rejection(kubelet.logs({ namespace: 'default', pod: 'web', container: 'app' })),
    ).to.be.instanceOf(ClosedError);
  });

  it('is asked again over a new connection when a kept one turns out to be dead, and over no other', async () => {
    const known = new WeakSet<object>();
    let asked = 0;
    const kubelet = await client(({ socket }, response) => {
      asked += 1;
      if (known.has(socket)) socket.destroy();
      else response.end('ok');
      known.add(socket);
    });
    for (let count = 0; count < 10; count += 1) expect(await kubelet.healthz()).to.equal('ok');
    expect(asked).to.equal(19);
    let tried = 0;
    const broken = await client(({ socket }) => {
      tried += 1;
      socket.destroy();
    });
    expect(await rejection(broken.healthz())).to.include({ code: 'ECONNRESET' });
    expect(tried).to.equal(1);
  });

  it('is asked again over a new connection when 16 kept ones are dead, and not when one more is', async () => {
    const known = new WeakSet<object>();
    const waiting: (() => void)[] = [];
    let dead = 0;
    const { certificate: cert, privateKey: key } = authority.issue({
      commonName: 'k',
      altNames: ['127.0.0.1'],
    });
    const { port } = await stage.https({ cert, key }, ({ socket }, response) => {
      if (known.has(socket)) {
        dead += 1;
        socket.destroy();
      } else waiting.push(() => response.end('ok'));
      known.add(socket);
    });
    const access: KubeletAccess = {
      node: stage.ssh.spec.name,
      host: '127.0.0.1',
      port,
      timeoutMs: 10_000,
      agent: stage.using(httpsAgent(stage.recorder, { ca: authority.certificate, maxFreeSockets: 64 })),
      headers: () => Promise.resolve({}),
    };
    const ask = (): Promise<string> => askForText(access, '/healthz', 100, undefined);
    const askAtOnce = async (count: number): Promise<void> => {
      const asked = Array.from({ length: count }, ask);
      await until('the requests', () => waiting.length === count);
      for (const answer of waiting.splice(0)) answer();
      await Promise.all(asked);
    };
    await askAtOnce(17);
    expect(await rejection(ask())).to.include({ code: 'ECONNRESET' });
    expect(dead).to.equal(17);
    await askAtOnce(16);
    const again = ask();
    await until('a new connection', () => waiting.length === 1);
    waiting.pop()?.();
    expect(await again).to.equal('ok');
    expect(dead).to.equal(17 + 16);
  });

  it('is taken at its word in JSON up to 16 MiB', async () => {
    const around = '{"items":[],"more":""}';
    const lengths = [MAX_JSON_LENGTH, MAX_JSON_LENGTH + 1];
    const kubelet = await client((_request, response) => {
      const more = 'x'.repeat((lengths.shift() ?? 0) - around.length);
      response.end(around.replace('""', `"${more}"`));
    });
    expect((await kubelet.pods()).items).to.deep.equal([]);
    const error = await rejection(kubelet.pods());
    expect(error).to.be.instanceOf(KubeletAnswerError);
    expect(error.message).to.include(`longer than ${16 * 2 ** 20} characters`);
  });

  it('is told from one that answers: no JSON, another shape, too long, or broken off', async () => {
    const bodies: Record<string, string> = {
      '/pods': '{"kind":"PodList"}',
      '/configz': 'nonsense',
      '/stats/summary': '[]',
    };
    const kubelet = await client((request, response) => {
      const body = bodies[request.url ?? ''];
      if (body !== undefined) response.end(body);
      else if (request.url === '/healthz') response.write('o', () => response.destroy());
      else {
        const fill = (): void => {
          while (response.write('x'.repeat(65_536)));
        };
        response.on('drain', fill);
        fill();
      }
    });
    for (const call of [
      kubelet.pods(),
      kubelet.configz(),
      kubelet.statsSummary(),
      kubelet.healthz(),
      kubelet.metrics(),
    ])
      expect(await rejection(call)).to.be.instanceOf(KubeletAnswerError);
  }).timeout(60_000);
});
