import { expect } from 'chai';
import { getEventListeners, once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import type { Backend } from '../../../lib/apiserver/backend.js';
import type { BackendsOptions } from '../../../lib/apiserver/targets/backend-options.js';
import { Backends } from '../../../lib/apiserver/targets/backends.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import { InvalidOptionError } from '../../../lib/errors.js';
import { createAuthority, startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { fetchText, Stage, type Answer } from '../../http/stage.js';
import { gate, rejection, roundTrip, until } from '../../support/dialer.js';
import { nodeAt } from './cluster.js';
import { thrownBy } from './thrown-by.js';

const authority = createAuthority('cluster-ca');
const serving = authority.issue({ commonName: 'somebody' });

const get = ({ agent, host, port }: Backend, path = '/'): Promise<Answer> =>
  fetchText({ agent, host, port, path });

describe('apiserver: backends', () => {
  let stage: Stage;
  /** What the node was asked for. */
  const dialled: string[] = [];

  beforeEach(async () => {
    dialled.length = 0;
    stage = await Stage.start({
      redirect: (host, port) => {
        dialled.push(`${host} ${port}`);
        return { host: '127.0.0.1', port };
      },
    });
  });
  afterEach(() => stage.end());

  const backendsWith = (options: BackendsOptions): Backends => {
    const backends = new Backends(stage.recorder, options);
    stage.onEnd(() => backends.close());
    return backends;
  };
  const insecure = (changes: Partial<BackendsOptions> = {}): Backends =>
    backendsWith({ kubelet: { insecureSkipTLSVerify: true }, ...changes });

  const kubelet = async (nodeName = 'node-1', host = '10.0.0.11'): Promise<Kubelet> => {
    const started = await startKubelet({ nodeName, altNames: [host] });
    stage.onEnd(() => started.close());
    return started;
  };
  const accessTo = (to: Kubelet): BackendsOptions['kubelet'] => {
    const { certificate, privateKey } = to.clientCertificate();
    return {
      certificateAuthority: to.certificateAuthority,
      clientCertificate: certificate,
      clientKey: privateKey,
    };
  };

  describe('of a kubelet', () => {
    it('AC-7 show the client certificate, and verify the kubelet for the address of the node', async () => {
      const real = await kubelet();
      const backends = backendsWith({ kubelet: accessTo(real) });
      const backend = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port));
      expect(backend).to.include({ scheme: 'https', host: '10.0.0.11', authority: `10.0.0.11:${real.port}` });
      expect(await get(backend, '/healthz')).to.include({ status: 200, body: 'ok' });
      expect(dialled).to.deep.equal([`10.0.0.11 ${real.port}`]);
      expect(stage.recorder.options[0]).to.include({ node: 'node-1' });

      const elsewhere = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.12' }, real.port));
      expect(await rejection(get(elsewhere, '/healthz'))).to.include({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    });

    it('keep their connections for the next request', async () => {
      const real = await kubelet();
      const backends = backendsWith({ kubelet: accessTo(real) });
      const node = nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port);
      for (let left = 3; left > 0; left -= 1) await get(backends.kubelet(node), '/healthz');
      expect(dialled).to.have.length(1);
    });

    it('are retired when the address of their node changes', async () => {
      const real = await kubelet();
      const backends = backendsWith({
        kubelet: { ...accessTo(real), certificateAuthority: undefined, insecureSkipTLSVerify: true },
      });
      const former = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port));
      await get(former, '/healthz');
      const first = stage.recorder.last;
      const now = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.12' }, real.port));
      if (!first.destroyed) await once(first, 'close');
      await get(now, '/healthz');
      expect(dialled).to.deep.equal([`10.0.0.11 ${real.port}`, `10.0.0.12 ${real.port}`]);
      // What was handed out before goes on, and keeps nothing.
      await get(former, '/healthz');
      const { last } = stage.recorder;
      if (!last.destroyed) await once(last, 'close');
    });

    it('have a connection of their own for each upgrade, which is verified, too', async () => {
      const real = await kubelet();
      const backends = backendsWith({ kubelet: accessTo(real) });
      const node = nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port);
      const socket = await backends.kubelet(node).connect();
      expect(socket).to.be.instanceOf(TLSSocket).and.include({ authorized: true, alpnProtocol: 'http/1.1' });
      socket.write('GET /healthz HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n');
      expect(await answerOn(socket)).to.match(/^HTTP\/1\.1 200 OK\r\n[^]*ok/);
      await get(backends.kubelet(node), '/healthz');
      expect(dialled).to.have.length(2);

      const elsewhere = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.12' }, real.port));
      expect(await rejection(elsewhere.connect())).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      await until('the connection to be gone', () => stage.recorder.last.destroyed);
    });

    it('are verified for another name than their address where one is given', async () => {
      const real = await kubelet('node-1', 'kubelet.example');
      const backends = backendsWith({ kubelet: { ...accessTo(real), serverName: 'kubelet.example' } });
      const backend = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port));
      expect(await get(backend, '/healthz')).to.include({ status: 200 });
      const socket = await backend.connect();
      expect(socket).to.include({ authorized: true });
      socket.destroy();
    });

    it('are connected to for an upgrade only when the certificate is the pinned one', async () => {
      const real = await kubelet();
      const pinned = backendsWith({ kubelet: { pinnedCertificate: '00'.repeat(32) } });
      const backend = pinned.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port));
      expect(await rejection(backend.connect())).to.include({ code: 'ERR_KUBELET_CERTIFICATE' });
      await until('the connection to be gone', () => stage.recorder.last.destroyed);
    });

    it('AC-50 are refused with a certificate of another authority', async () => {
      const real = await kubelet();
      const backends = backendsWith({
        kubelet: { ...accessTo(real), certificateAuthority: authority.certificate },
      });
      const backend = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }, real.port));
      expect(await rejection(get(backend)))
        .to.have.property('code')
        .that.matches(/SIGNATURE|ISSUER/);
      expect(await rejection(backend.connect()))
        .to.have.property('code')
        .that.matches(/SIGNATURE|ISSUER/);
    });

    it('are at the port of the options unless the node tells another', () => {
      const backends = insecure({ kubelet: { insecureSkipTLSVerify: true, port: 10_350 } });
      expect(backends.kubelet(nodeAt('n', { InternalIP: '10.0.0.11' })).port).to.equal(10_350);
      expect(backends.kubelet(nodeAt('n', { InternalIP: '10.0.0.11' }, 10_250)).port).to.equal(10_250);
    });

    it('are at an address of the types that were asked for', () => {
      const backends = insecure({ kubelet: { insecureSkipTLSVerify: true, addressTypes: ['ExternalIP'] } });
      const node = nodeAt('n', { InternalIP: '10.0.0.11', ExternalIP: '1.2.3.4' });
      expect(backends.kubelet(node).host).to.equal('1.2.3.4');
      const error = thrownBy(() => backends.kubelet(nodeAt('n', { InternalIP: '10.0.0.11' })));
      expect(error).to.be.instanceOf(StatusError).and.include({ code: 500 });
    });

    it('of more nodes than may be kept retire those not asked for the longest', async () => {
      const real = await kubelet();
      const backends = insecure({
        kubelet: { ...accessTo(real), certificateAuthority: undefined, insecureSkipTLSVerify: true },
        maxNodes: 2,
      });
      // All of them are carried by the only node there is.
      const at = (name: string): Backend =>
        backends.kubelet(nodeAt(name, { InternalIP: '10.0.0.11' }, real.port));
      const agents = [at('node-1').agent, at('node-2').agent];
      await get(at('node-1'), '/healthz');
      expect(at('node-1').agent).to.equal(agents[0]);
      at('node-3');
      expect(at('node-1').agent).to.equal(agents[0]);
      expect(at('node-2').agent).to.not.equal(agents[1]);
      at('node-3');
      const { last } = stage.recorder;
      if (!last.destroyed) await once(last, 'close');
    });
  });

  describe('of pods', () => {
    it('are http', async () => {
      const { port } = await stage.http((_request, response) => response.end('foo'));
      const backend = insecure().plain('', '10.244.1.7', port, 'node-1');
      expect(await get(backend)).to.include({ status: 200, body: 'foo' });
      expect(dialled).to.deep.equal([`10.244.1.7 ${port}`]);
      expect(stage.recorder.options[0]).to.include({ node: 'node-1' });
    });

    it('are https with whatever certificate they show', async () => {
      const { port } = await stage.https(
        { cert: serving.certificate, key: serving.privateKey },
        (_request, response) => response.end('tls baz'),
      );
      const backend = insecure().plain('https', '10.244.1.7', port, 'node-1');
      expect(await get(backend)).to.include({ status: 200, body: 'tls baz' });
      const socket = await backend.connect();
      expect(socket).to.be.instanceOf(TLSSocket).and.include({ authorized: false, alpnProtocol: 'http/1.1' });
      socket.destroy();
    });

    it('are carried by the node that is told, and apart from those of another', async () => {
      const { port } = await stage.http((_request, response) => response.end('foo'));
      const backends = insecure();
      await get(backends.plain('http', '10.244.1.7', port, 'node-1'));
      await get(backends.plain('http', '10.244.1.7', port));
      await get(backends.plain('http', '10.244.1.7', port, 'node-1'));
      expect(stage.recorder.options.map(({ node }) => node)).to.deep.equal(['node-1', undefined]);
      const elsewhere = backends.plain('http', '10.244.1.7', port, 'node-2');
      expect(await rejection(get(elsewhere))).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
      expect(await rejection(elsewhere.connect())).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
    });

    it('AC-26 speak HTTP/1.1 on a connection of their own, though they offer HTTP/2', async () => {
      const server = http2.createSecureServer(
        { cert: serving.certificate, key: serving.privateKey, allowHTTP1: true },
        (request, response) => response.end(request.httpVersion),
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      stage.onEnd(() => new Promise((resolve) => server.close(resolve)));
      const backend = insecure().plain('https', '10.244.1.7', (server.address() as AddressInfo).port);
      const socket = await backend.connect();
      socket.write('GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n');
      expect(await answerOn(socket)).to.match(/^HTTP\/1\.1 200 OK\r\n[^]*1\.1/);
    });

    it('carry bytes both ways on a connection of their own, which never times out', async () => {
      const { port } = await stage.endpoint();
      const socket = await insecure().plain('http', '10.244.1.7', port).connect();
      await roundTrip(socket);
      expect(socket).to.have.property('timeout').that.is.oneOf([0, undefined]);
      socket.destroy();
    });

    it('that do not listen are told as the dial tells it', async () => {
      const endpoint = await stage.endpoint();
      await endpoint.close();
      const backend = insecure().plain('http', '10.244.1.7', endpoint.port);
      expect(await rejection(backend.connect())).to.include({ code: 'ECONNREFUSED' });
      const secure = insecure().plain('https', '10.244.1.7', endpoint.port);
      expect(await rejection(secure.connect())).to.include({ code: 'ECONNREFUSED' });
    });

    it('that close a connection before TLS is done are told', async () => {
      const { port } = await stage.endpoint((socket) => void socket.end());
      const error = await rejection(insecure().plain('https', '10.244.1.7', port).connect());
      expect(error).to.include({ code: 'ECONNRESET' });
    });

    it('leave nothing behind when a connection is given up in the dial or in TLS', async () => {
      const { port, sockets } = await stage.endpoint((socket) => {
        socket.resume().once('end', () => socket.end());
      });
      const backend = insecure().plain('https', '10.244.1.7', port);
      const reason = new Error('changed my mind');
      expect(await rejection(backend.connect(AbortSignal.abort(reason)))).to.equal(reason);
      expect(stage.recorder.options).to.have.length(0);

      for (const isDialled of [false, true]) {
        const giveUp = new AbortController();
        const connecting = rejection(backend.connect(giveUp.signal));
        if (isDialled)
          await until('TLS to begin', () => stage.recorder.sockets.length > 0 && sockets.size > 0);
        giveUp.abort(reason);
        expect(await connecting).to.equal(reason);
        expect(getEventListeners(giveUp.signal, 'abort')).to.have.length(0);
      }
      await until('nothing to be open', () => sockets.size === 0 && stage.recorder.last.destroyed);
    });

    it('are not given up by a signal once they are connected', async () => {
      const { port } = await stage.endpoint();
      const giveUp = new AbortController();
      const socket = await insecure().plain('http', '10.244.1.7', port).connect(giveUp.signal);
      giveUp.abort();
      await roundTrip(socket);
      socket.destroy();
    });

    it('keep a bounded number of connections on a node, however many pods it has', async () => {
      const { opened, open } = gate();
      let waiting = 0;
      const { port, server } = await stage.http((_request, response) => {
        waiting += 1;
        void opened.then(() => response.end());
      });
      const backends = insecure();
      const answers = Array.from({ length: 100 }, (_, index) =>
        get(backends.plain('http', `10.244.1.${index}`, port, 'node-1')),
      );
      await until('all to be there', () => waiting === 100);
      open();
      await Promise.all(answers);
      const kept = (): number => stage.recorder.sockets.filter(({ destroyed }) => !destroyed).length;
      await until('those too many to be closed', () => kept() === 64);
      backends.close();
      await until('all to be closed', () => kept() === 0);
      server.closeAllConnections();
    });
  });

  it('hand out nothing any more when they are closed, and what they keep ends', async () => {
    const { port } = await stage.http((_request, response) => response.end('foo'));
    const backends = insecure();
    await get(backends.plain('http', '10.244.1.7', port));
    const { last } = stage.recorder;
    backends.close();
    backends.close();
    if (!last.destroyed) await once(last, 'close');
    const refusals = [
      thrownBy(() => backends.plain('http', '10.244.1.7', port)),
      thrownBy(() => backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }))),
    ];
    for (const error of refusals) expect(error).to.be.instanceOf(StatusError).and.include({ code: 503 });
  });

  it('show no key to whoever looks at them', () => {
    const { certificate: clientCertificate, privateKey: clientKey } = authority.issue({
      commonName: 'proxy',
    });
    const backends = insecure({ kubelet: { insecureSkipTLSVerify: true, clientCertificate, clientKey } });
    const backend = backends.kubelet(nodeAt('node-1', { InternalIP: '10.0.0.11' }));
    const shown = inspect([backends, backend], { depth: 20, showHidden: true });
    expect(shown).to.not.contain('PRIVATE KEY').and.not.contain(clientKey.split('\n')[1]);
  });

  const wrong: Record<string, [unknown, string]> = {
    'nothing about kubelets': [{}, 'kubelet'],
    'no way to verify them': [{ kubelet: {} }, 'kubelet.certificateAuthority'],
    'two ways to verify them': [
      { kubelet: { insecureSkipTLSVerify: true, pinnedCertificate: 'ab'.repeat(32) } },
      'kubelet.insecureSkipTLSVerify',
    ],
    'a token': [{ kubelet: { insecureSkipTLSVerify: true, token: 'secret' } }, 'kubelet.token'],
    'a file of a token': [
      { kubelet: { insecureSkipTLSVerify: true, tokenFile: '/token' } },
      'kubelet.tokenFile',
    ],
    'a node': [{ kubelet: { insecureSkipTLSVerify: true, node: 'n' } }, 'kubelet.node'],
    'a certificate without its key': [
      { kubelet: { insecureSkipTLSVerify: true, clientCertificate: serving.certificate } },
      'kubelet.clientKey',
    ],
    'an option misspelt': [{ kubelet: { insecureSkipTlsVerify: true } }, 'kubelet.insecureSkipTlsVerify'],
    'no nodes to keep': [{ kubelet: { insecureSkipTLSVerify: true }, maxNodes: 0 }, 'maxNodes'],
    'an option of nobody': [{ kubelet: { insecureSkipTLSVerify: true }, more: 1 }, 'more'],
  };
  for (const [what, [options, option]] of Object.entries(wrong))
    it(`are refused with ${what}`, () => {
      const error = thrownBy(() => new Backends(stage.recorder, options as BackendsOptions));
      expect(error).to.be.instanceOf(InvalidOptionError).and.include({ option });
      expect(error.message)
        .to.match(new RegExp(`^${option} `))
        .and.not.contain('secret');
    });
});

async function answerOn(socket: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
