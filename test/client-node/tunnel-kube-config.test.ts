import { Attach, CoreV1Api, Exec, Log, PortForward, Watch, type V1Status } from '@kubernetes/client-node';
import { expect } from 'chai';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { createAuthority } from '../../lib/testing/index.js';
import { TunnelKubeConfig, type TunnelKubeConfigOptions } from '../../lib/client-node/index.js';
import { Stage } from '../http/stage.js';
import { read, rejection, until } from '../support/dialer.js';
import { FakeCluster } from '../support/fake-cluster.js';

const authority = createAuthority('cluster-ca');
const server = authority.issue({ commonName: 'api', altNames: ['api.example', '10.96.0.1'] });
const base64 = (pem: string): string => Buffer.from(pem).toString('base64');

describe('TunnelKubeConfig', () => {
  let stage: Stage;
  let cluster: FakeCluster;
  let port: number;
  const connections: TLSSocket[] = [];

  beforeEach(async () => {
    stage = await Stage.start({ redirect: (_host, to) => ({ host: '127.0.0.1', port: to }) });
    cluster = new FakeCluster();
    const served = await stage.https(
      {
        cert: server.certificate,
        key: server.privateKey,
        ca: authority.certificate,
        requestCert: true,
        rejectUnauthorized: false,
      },
      cluster.listener,
    );
    cluster.serveUpgrades(served.server);
    connections.length = 0;
    served.server.on('secureConnection', (socket: TLSSocket) => connections.push(socket));
    ({ port } = served);
  });
  afterEach(() => stage.end());

  const kubeconfig = (user: object = { token: 'good' }, changes: object = {}): string => {
    const details = {
      server: `https://api.example:${port}`,
      'certificate-authority-data': base64(authority.certificate),
      ...changes,
    };
    return JSON.stringify({
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: details }],
      users: [{ name: 'u', user }],
    });
  };
  const config = (user?: object, changes?: object, options?: TunnelKubeConfigOptions): TunnelKubeConfig => {
    const made = new TunnelKubeConfig(stage.recorder, options);
    made.loadFromString(kubeconfig(user, changes));
    return made;
  };
  const list = async (made: TunnelKubeConfig): Promise<string[]> => {
    const { items } = await made.makeApiClient(CoreV1Api).listNamespacedPod({ namespace: 'default' });
    return items.map(({ metadata }) => String(metadata?.name));
  };
  /** Everything that the error and its causes say. */
  const saidBy = (error: unknown): string =>
    error instanceof Error ? `${error.message} ${saidBy(error.cause)}` : '';

  it('lists', async () => {
    expect(await list(config())).to.deep.equal(['pod-1']);
    expect(cluster.asked[0]).to.include({ authorization: 'Bearer good' });
    expect(stage.recorder.last.remoteAddress).to.equal('api.example');
  });

  it('keeps its connection for the next request', async () => {
    const made = config();
    for (let count = 0; count < 5; count += 1) {
      await list(made);
      await new Promise(setImmediate);
    }
    expect(stage.recorder.sockets.length).to.be.at.most(2);
  });

  it('shows a client certificate, and another from the next request on when it changes', async () => {
    const made = config();
    for (const commonName of ['first', 'second']) {
      const { certificate, privateKey } = authority.issue({ commonName, purpose: 'client' });
      made.loadFromString(
        kubeconfig({
          'client-certificate-data': base64(certificate),
          'client-key-data': base64(privateKey),
        }),
      );
      await list(made);
      expect(cluster.asked.at(-1)).to.include({ client: commonName });
    }
    // What was kept with the old one is not used any more.
    await until(
      'one connection',
      () => stage.recorder.sockets.filter((socket) => !socket.destroyed).length === 1,
    );
  });

  it('watches', async () => {
    const events: string[] = [];
    let done: (error: unknown) => void = () => undefined;
    const over = new Promise<unknown>((resolve) => (done = resolve));
    await new Watch(config()).watch(
      '/api/v1/namespaces/default/pods',
      {},
      (type: string) => events.push(type),
      (error: unknown) => done(error),
    );
    cluster.tell(JSON.stringify({ type: 'ADDED', object: {} }));
    await until('an event', () => events.length === 1);
    cluster.tell(JSON.stringify({ type: 'DELETED', object: {} }));
    await until('another event', () => events.length === 2);
    expect(events).to.deep.equal(['ADDED', 'DELETED']);
    cluster.end();
    await over;
  });

  it('ends a watch with an error when the tunnel is lost', async () => {
    let done: (error: unknown) => void = () => undefined;
    const over = new Promise<unknown>((resolve) => (done = resolve));
    await new Watch(config()).watch(
      '/api/v1/pods',
      {},
      () => undefined,
      (error: unknown) => done(error),
    );
    stage.ssh.cut('rst');
    expect(await over).to.be.instanceOf(Error);
  });

  it('closes the channel of a watch that is aborted', async () => {
    let done: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (done = resolve));
    const watch = await new Watch(config()).watch(
      '/api/v1/pods',
      {},
      () => undefined,
      () => done(),
    );
    watch.abort();
    await over;
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('reads logs, and follows them', async () => {
    const log = new Log(config());
    const whole = new PassThrough();
    await log.log('default', 'pod-1', 'main', whole);
    expect((await read(whole, 29)).toString()).to.equal('the first line\nthe last line\n');
    const followed = new PassThrough();
    const following = await log.log('default', 'pod-1', 'main', followed, { follow: true });
    expect((await read(followed, 15)).toString()).to.equal('the first line\n');
    cluster.tell('a line');
    expect((await read(followed, 7)).toString()).to.equal('a line\n');
    // What is piped from fails with the abort, and nobody listens to that.
    followed.on('error', () => undefined);
    cluster.end();
    await once(followed.resume(), 'end');
    following.abort();
  });

  it('executes a command with its streams, and tells how it ended', async () => {
    const exec = new Exec(config());
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const ended = new Promise<V1Status>((resolve) => {
      void exec.exec('default', 'pod-1', 'main', ['cat'], stdout, stderr, stdin, false, resolve);
    });
    stdin.write('hello');
    expect((await read(stdout, 5)).toString()).to.equal('hello');
    stdin.end();
    expect(await ended).to.include({ status: 'Success' });
    await stage.ssh.until(({ channels }) => channels === 0);

    // The library has ended the others with the command.
    const complaints = new PassThrough();
    const failed = await new Promise<V1Status>((resolve) => {
      void exec.exec('default', 'pod-1', 'main', ['false'], null, complaints, null, false, resolve);
    });
    expect(failed).to.include({ status: 'Failure', reason: 'NonZeroExitCode' });
    expect((await read(complaints, 16)).toString()).to.equal('no such command\n');
  });

  it('attaches', async () => {
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const socket = await new Attach(config()).attach('default', 'pod-1', 'main', stdout, null, stdin, false);
    expect((await read(stdout, 8)).toString()).to.equal('welcome\n');
    stdin.write('hello');
    expect((await read(stdout, 14)).toString()).to.equal('you said hello');
    socket.close();
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('forwards ports', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const socket = await new PortForward(config()).portForward(
      'default',
      'pod-1',
      [8080],
      output,
      null,
      input,
    );
    if (typeof socket === 'function') throw new Error('it is not to reconnect');
    input.write('ping');
    expect((await read(output, 4)).toString()).to.equal('ping');
    expect(cluster.asked[0]?.query.get('ports')).to.equal('8080');
    socket.close();
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it("verifies the API server against the host of the cluster's server, or tls-server-name", async () => {
    const other = config({}, { server: `https://other.example:${port}` });
    expect(saidBy(await rejection(list(other)))).to.match(/altnames|other\.example/);
    const exec = new Exec(other);
    const executing = exec.exec('default', 'pod-1', 'main', ['cat'], null, null, null, false);
    const { message } = await rejection<{ message: string }>(executing);
    expect(message).to.match(/altnames|other\.example/);
    const named = { server: `https://10.0.0.1:${port}`, 'tls-server-name': 'api.example' };
    expect(await list(config({}, named))).to.deep.equal(['pod-1']);
    const unknown = config({}, { 'certificate-authority-data': undefined });
    expect(await rejection(list(unknown))).to.be.instanceOf(Error);
    const insecure = config(
      {},
      {
        server: `https://other.example:${port}`,
        'certificate-authority-data': undefined,
        'insecure-skip-tls-verify': true,
      },
    );
    expect(await list(insecure)).to.deep.equal(['pod-1']);
  });

  it('is carried by the node that is asked for', async () => {
    expect(saidBy(await rejection(list(config({}, {}, { node: 'node-2' }))))).to.include('node-2');
    expect(stage.recorder.options[0]).to.include({ node: 'node-2' });
  });

  it('uses no idle connection whose tunnel was lost', async () => {
    const made = config();
    await list(made);
    const lost = new Promise((resolve) => stage.recorder.last.once('close', resolve));
    stage.ssh.cut('fin');
    await lost;
    expect(await list(made)).to.deep.equal(['pod-1']);
    expect(stage.ssh.totalConnections).to.equal(2);
  });

  it('does not hold up the closing of the dialer when it is idle', async () => {
    await list(config());
    await stage.recorder.close();
    expect(stage.recorder.last.errored).to.equal(null);
  });

  it('refuses a kubeconfig with a proxy, and plain HTTP unless told otherwise', async () => {
    const proxied = config({}, { 'proxy-url': 'http://127.0.0.1:1' });
    expect(await rejection(list(proxied))).to.include({ code: 'ERR_TUNNEL_INVALID_OPTION' });
    expect(await rejection(proxied.applyToHTTPSOptions({}))).to.include({ option: 'proxy-url' });
    const { port: open } = await stage.http(cluster.listener);
    const plain = { server: `http://127.0.0.1:${open}`, 'certificate-authority-data': undefined };
    expect((await rejection(list(config({}, plain)))).message).to.include('HTTP protocol is not allowed');
    expect(await list(config({}, { ...plain, 'insecure-skip-tls-verify': true }))).to.deep.equal(['pod-1']);
  });

  it('wants a dialer and options that are such', () => {
    expect(() => new TunnelKubeConfig({} as never)).to.throw('dialer');
    expect(() => new TunnelKubeConfig(stage.recorder, { node: '' })).to.throw('node');
  });
});
