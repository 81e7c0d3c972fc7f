import { expect } from 'chai';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../lib/testing/certificates.js';
import { InvalidOptionError } from '../lib/errors.js';
import type { NodeStatus, ProbeOptions } from '../lib/index.js';
import type { SshNode } from '../lib/testing/index.js';
import { tlsFiles } from '../lib/tls/tls-files.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab, roundTrip, until } from './support/dialer.js';

describe('TunnelDialer: probes', () => {
  let lab: Lab;
  let node: SshNode;
  let status: number;
  let asked: string[];

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    status = 200;
    asked = [];
  });

  afterEach(async () => {
    await lab.end();
  });

  const create = async (probe: ProbeOptions): Promise<TunnelDialer> => {
    const dialer = lab.dialer([node], { health: { probe: { intervalMs: 10, timeoutMs: 5000, ...probe } } });
    await dialer.ready();
    return dialer;
  };

  const statusOf = (dialer: TunnelDialer): NodeStatus => dialer.status().nodes[0]!;

  const probed = (dialer: TunnelDialer, ok: boolean): Promise<void> =>
    until(`a probe that is ${ok ? 'well' : 'not well'}`, () => statusOf(dialer).probe?.ok === ok);

  /** A kubelet's health endpoint on the node's loopback. */
  async function kubelet(secure?: { cert: string; key: string }): Promise<number> {
    const answer: Parameters<typeof createHttp>[1] = (request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.host}`);
      response.writeHead(status).end('ok');
    };
    const server = secure === undefined ? createHttp(answer) : createHttps(secure, answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    lab.onEnd(() => void server.close());
    return (server.address() as AddressInfo).port;
  }

  it('ask over HTTP, and turn a node degraded and ready again', async () => {
    const port = await kubelet();
    const dialer = await create({ kind: 'http', port });
    await probed(dialer, true);
    expect(asked[0]).to.equal(`GET /healthz 127.0.0.1:${port}`);
    expect(statusOf(dialer)).to.include({ state: 'ready' });
    const states: string[] = [];
    dialer.on('nodeState', ({ state }) => void states.push(state));
    status = 500;
    await probed(dialer, false);
    expect(statusOf(dialer)).to.deep.include({
      state: 'degraded',
      cause: { code: 'ERR_TUNNEL_PROBE', message: '/healthz answered 500 instead of 200' },
    });
    status = 200;
    await probed(dialer, true);
    expect(statusOf(dialer)).to.include({ state: 'ready' }).and.not.have.property('cause');
    await until('the events', () => states.length === 2);
    expect(states).to.deep.equal(['degraded', 'ready']);
    expect(node.totalConnections).to.equal(1);
  });

  it('come soon after the tunnel is up, and when it is up again', async () => {
    const port = await kubelet();
    const dialer = await create({ kind: 'http', port, intervalMs: 3_600_000 });
    await probed(dialer, true);
    status = 500;
    node.cut('rst');
    await probed(dialer, false);
    expect(asked).to.have.length(2);
  });

  it('say nothing of a node whose tunnel is lost', async () => {
    const port = await kubelet();
    const dialer = await create({ kind: 'http', port });
    status = 500;
    await probed(dialer, false);
    node.faults.silent();
    node.cut('rst');
    await until('the loss', () => statusOf(dialer).connections.ready === 0);
    expect(statusOf(dialer).state).to.be.oneOf(['connecting', 'down']);
    expect(statusOf(dialer).cause?.code).to.not.equal('ERR_TUNNEL_PROBE');
    expect(statusOf(dialer).probe).to.include({ ok: false });
  });

  it('ask over HTTPS, with the certificate verified unless told otherwise', async () => {
    const authority = createAuthority('kubelets');
    const { certificate: cert, privateKey: key } = authority.issue({
      commonName: 'node-1',
      altNames: ['127.0.0.1'],
    });
    const port = await kubelet({ cert, key });
    const { certificate: ca } = authority;
    const known = await create({ kind: 'https', port, ca, path: '/livez', expectedStatus: 200 });
    await probed(known, true);
    expect(asked[0]).to.include('GET /livez');
    const unknown = await create({ kind: 'https', port });
    await probed(unknown, false);
    expect(statusOf(unknown).cause?.code).to.equal('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    await probed(await create({ kind: 'https', port, rejectUnauthorized: false }), true);
  });

  it('ask by the certificates that are in files then', async () => {
    const [before, after] = [createAuthority('before'), createAuthority('after')];
    const subject = { commonName: 'node-1', altNames: ['127.0.0.1'] };
    const { certificate: cert, privateKey: key } = after.issue(subject);
    const port = await kubelet({ cert, key });
    const directory = await mkdtemp(join(tmpdir(), 'probe-tls-files-'));
    lab.onEnd(() => rm(directory, { recursive: true }));
    const caFile = join(directory, 'ca.crt');
    await writeFile(caFile, before.certificate);
    const tls = tlsFiles({ caFile, intervalMs: 1 });
    const dialer = await create({ kind: 'https', port, tls });
    await probed(dialer, false);
    expect(statusOf(dialer).cause?.code).to.equal('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    await writeFile(caFile, after.certificate);
    await probed(dialer, true);
    expect(tls.status().state).to.equal('current');
  });

  it('fail when their source of certificates does, and go on', async () => {
    const { certificate: ca, ...authority } = createAuthority('kubelets');
    const own = authority.issue({ commonName: 'node-1', altNames: ['127.0.0.1'] });
    const port = await kubelet({ cert: own.certificate, key: own.privateKey });
    let current = (): { ca: string } => ({ ca });
    const dialer = await create({ kind: 'https', port, tls: { current: () => current() } });
    await probed(dialer, true);
    current = () => {
      throw new Error('the vault is away');
    };
    await probed(dialer, false);
    expect(statusOf(dialer).cause?.message).to.equal('the vault is away');
    current = () => ({ ca });
    await probed(dialer, true);
  });

  it('open a stream over TCP; an endpoint that refuses costs no connection', async () => {
    const endpoint = await lab.endpoint();
    const dialer = await create({ kind: 'tcp', port: endpoint.port });
    await probed(dialer, true);
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    node.faults.refuse({ reason: 2, description: 'Connection refused' });
    await probed(dialer, false);
    expect(statusOf(dialer)).to.deep.include({ state: 'degraded' });
    expect(statusOf(dialer).cause?.code).to.equal('ECONNREFUSED');
    await roundTrip(stream);
    expect(node.totalConnections).to.equal(1);
  });

  it('have a deadline for an endpoint that takes the question and never answers', async () => {
    const endpoint = await lab.endpoint((socket) => void socket.resume());
    const dialer = await create({ kind: 'http', port: endpoint.port, timeoutMs: 50 });
    await probed(dialer, false);
    expect(statusOf(dialer).cause).to.include({ code: 'ETIMEDOUT' });
    expect(statusOf(dialer).cause?.message).to.include('no answer to the http probe within 50 ms');
  });

  it('go on after an endpoint that switches protocols without being asked', async () => {
    const answers = ['HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'];
    const endpoint = await lab.endpoint((socket) => {
      socket.once('data', () =>
        socket.end(answers.shift() ?? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
      );
    });
    const dialer = await create({ kind: 'http', port: endpoint.port });
    await probed(dialer, false);
    expect(statusOf(dialer).cause?.message).to.equal('/healthz answered 101 instead of 200');
    await probed(dialer, true);
  });

  it('leave nothing behind: no stream, and close() does not wait for one', async () => {
    const endpoint = await lab.endpoint((socket) => void socket.resume());
    const dialer = await create({ kind: 'http', port: endpoint.port });
    await until('a probe under way', () => statusOf(dialer).channels.open === 1);
    await dialer.close();
    await node.until(({ connections }) => connections === 0);
  });

  it('are refused by their types when something has no meaning for their kind', () => {
    const either = 'http' as 'http' | 'https';
    const right: ProbeOptions[] = [
      { kind: 'tcp', port: 10250, intervalMs: 1000, timeoutMs: 100 },
      { kind: either, path: '/livez', expectedStatus: 204 },
      { kind: 'https', ca: 'ca', cert: 'cert', key: 'key', rejectUnauthorized: false },
      // @ts-expect-error nothing is asked for over TCP
      { kind: 'tcp', path: '/healthz' },
      // @ts-expect-error there are no certificates without TLS
      { kind: 'http', ca: 'ca' },
      // @ts-expect-error it has to say what it is
      { port: 10250 },
    ];
    const refused = right.slice(3).map((probe) => () => lab.dialer([node], { health: { probe } }));
    for (const make of refused) expect(make).to.throw(InvalidOptionError);
  });

  it('are refused when they are wrong, without showing a key', () => {
    const wrong: [string, object][] = [
      ['health.probe.kind', { kind: 'ping' }],
      ['health.probe.path', { kind: 'http', path: 'healthz' }],
      ['health.probe.path', { kind: 'http', path: '/a b\r\nx: y' }],
      ['health.probe.port', { kind: 'tcp', port: 0 }],
      ['health.probe.expectedStatus', { kind: 'http', expectedStatus: 100 }],
      ['health.probe.intervalMs', { kind: 'tcp', intervalMs: 0 }],
      ['health.probe.timeout', { kind: 'tcp', timeout: 5 }],
      ['health.probe.tls', { kind: 'https', tls: 'ca.crt' }],
      ['health.probe.tls', { kind: 'http', tls: { current: () => ({}) } }],
      ['health.probe.ca', { kind: 'https', tls: { current: () => ({}) }, ca: 'x' }],
      ['tls.current()', { kind: 'https', tls: { current: () => undefined } }],
      [
        'health.probe',
        { kind: 'https', tls: { current: () => ({ key: 'a secret that must not be shown' }) } },
      ],
      ['health.probe', { kind: 'https', key: 'a secret that must not be shown', cert: 'x' }],
      ['health.probe.key', { kind: 'https', cert: 'x' }],
      ['health.probe.cert', { kind: 'https', key: 'a secret that must not be shown' }],
      ['health.probe.ca', { kind: 'https', ca: 'kubelet-ca.crt' }],
      ['health.probe.ca', { kind: 'https', ca: Buffer.from('a secret that must not be shown') }],
      ['health.probe.ca', { kind: 'https', ca: [] }],
      ['health.probe.ca', { kind: 'https', ca: null }],
      ['health.probe.ca', { kind: 'http', ca: 'x' }],
      ['health.probe.rejectUnauthorized', { kind: 'http', rejectUnauthorized: false }],
      ['health.probe.path', { kind: 'tcp', path: '/healthz' }],
      ['health.probe.expectedStatus', { kind: 'tcp', expectedStatus: 200 }],
      ['health.probe.cert', { kind: 'tcp', cert: 'x', key: 'x' }],
    ];
    for (const [option, probe] of wrong) {
      const make = () => lab.dialer([node], { health: { probe: probe as ProbeOptions } });
      expect(make, option).to.throw(InvalidOptionError).with.property('option', option);
      expect(make).to.not.throw(/a secret/);
    }
  });
});
