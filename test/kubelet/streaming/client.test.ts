import { expect } from 'chai';
import { X509Certificate } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { ClosedError } from '../../../lib/errors.js';
import type { KubeletClient, KubeletClientOptions, RemoteProcess } from '../../../lib/kubelet/index.js';
import type { KubeletOptions } from '../../../lib/testing/index.js';
import { read, rejection, until } from '../../support/dialer.js';
import { KubeletStage } from '../stage.js';
import { APP } from './real-kubelet.js';

describe('kubelet: exec, attach and port-forward of a client', () => {
  let stage: KubeletStage;
  const start = async (options?: KubeletOptions): Promise<KubeletClient> => {
    stage = await KubeletStage.start(options);
    return stage.client();
  };
  afterEach(() => stage.end());

  const hello = async (process: RemoteProcess): Promise<void> => {
    expect(await text(process.stdout)).to.equal('hello\n');
    expect(await process.exit).to.deep.equal({ code: 0 });
  };
  const echo = { ...APP, command: ['echo', 'hello'] };

  it('run a command, whatever proves who asks', async () => {
    await start();
    const { certificate, privateKey } = stage.kubelet.clientCertificate();
    const ways: Partial<KubeletClientOptions>[] = [
      {},
      { token: undefined, clientCertificate: certificate, clientKey: privateKey },
      { verifySubject: true },
      { certificateAuthority: undefined, insecureSkipTLSVerify: true },
    ];
    for (const way of ways) await hello(await stage.client(way).exec(echo));
  });

  it('run a command of a kubelet whose certificate is pinned, and of no other', async () => {
    await start({ certificate: 'self-signed' });
    const { fingerprint256: pinned } = new X509Certificate(stage.kubelet.certificateAuthority);
    const only = { certificateAuthority: undefined };
    await hello(await stage.client({ ...only, pinnedCertificate: pinned }).exec(echo));
    const other = stage.client({ ...only, pinnedCertificate: 'ab'.repeat(32) });
    expect(await rejection(other.exec(echo))).to.have.property('code', 'ERR_KUBELET_CERTIFICATE');
    expect(stage.kubelet.requests).to.have.length(1);
  });

  it("fail with the kubelet's own words", async () => {
    const client = await start();
    const missing = await rejection(client.exec({ ...echo, pod: 'other' }));
    expect(missing).to.include({ code: 'ERR_KUBELET_NOT_FOUND', status: 404 });
    const stranger = stage.client({ token: 'wrong' });
    expect(await rejection(stranger.exec(echo))).to.include({ code: 'ERR_KUBELET_UNAUTHORIZED' });
    const unknown = await client.exec({ ...echo, command: ['no-such-program'] });
    const error = await rejection(unknown.exit);
    expect(error).to.include({ code: 'ERR_KUBELET_COMMAND', reason: 'InternalError' });
    expect(error.message).to.include('executable file not found');
  });

  it('run a command of a kubelet that speaks only v4', async () => {
    const client = await start({ protocols: ['v4'] });
    const process = await client.exec(echo);
    expect(process.protocol).to.equal('v4');
    await hello(process);
  });

  it('have a terminal with a size', async () => {
    const client = await start();
    const shell = await client.exec({ ...APP, command: ['sh'], stdin: true, tty: true });
    shell.resize({ columns: 132, rows: 43 });
    let shown = '';
    shell.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()));
    const asked = setInterval(() => shell.stdin.write('stty size\n'), 100);
    try {
      await until('the size', () => shown.includes('43 132'));
    } finally {
      clearInterval(asked);
    }
    shell.stdin.write('exit 5\n');
    expect((await shell.exit).code).to.equal(5);
  });

  it('attach to the process of a container', async () => {
    const command = ['sh', '-c', 'read line; echo "got $line"; sleep 1000'];
    const client = await start({ pods: [{ name: 'web', containers: [{ name: 'app', command }] }] });
    const attached = await client.attach({ ...APP, stdin: true });
    attached.stdin.write('hello\n');
    expect((await read(attached.stdout, 10)).toString()).to.equal('got hello\n');
    attached.destroy();
    await until('no attach', () => stage.kubelet.open.attaches === 0);
  });

  it('forward a port, and tell that nobody listens there', async () => {
    const client = await start();
    const endpoint = await stage.endpoint();
    const { namespace, pod } = APP;
    const socket = await client.portForward({ namespace, pod, port: endpoint.port });
    socket.write('hello');
    expect((await read(socket, 5)).toString()).to.equal('hello');
    socket.destroy();
    await endpoint.close();
    const refused = await client.portForward({ namespace, pod, port: endpoint.port });
    const error = await rejection(text(refused));
    expect(error).to.have.property('code', 'ERR_KUBELET_PORT_FORWARD');
    expect(error.message).to.include('refused');
  });

  it('are refused when the client is closed', async () => {
    const client = await start();
    await client.close();
    for (const call of [client.exec(echo), client.attach(APP), client.portForward({ ...APP, port: 80 })]) {
      expect(await rejection(call)).to.be.instanceOf(ClosedError);
    }
  });
});
