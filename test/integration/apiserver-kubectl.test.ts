import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { startApiServer, startKubelet, type Kubelet } from '../../lib/testing/index.js';
import { startProxyFront } from '../support/apiserver-front.js';
import { describeFor } from '../support/applicability.js';
import { read, until } from '../support/dialer.js';
import { startEndpoint } from '../support/endpoints.js';
import { Kubectl, kubectlHere } from '../support/kubectl.js';
import { NODE, Stage } from './stage.js';

const run = promisify(execFile);

const POD = { namespace: 'shop', name: 'cart' };
const WANTED = ['-n', POD.namespace];

/** The real kubectl, an apiserver proxy, a real sshd, and a kubelet behind it. */
describeFor(kubectlHere, 'kubectl through the apiserver proxy and a real sshd', () => {
  describe('of this machine', function () {
    this.timeout(120_000);
    const stage = new Stage();
    afterEach(() => stage.end());

    async function start(
      kubeletOptions: Parameters<typeof startKubelet>[0] = {},
    ): Promise<{ kubectl: Kubectl; kubelet: Kubelet }> {
      const sshd = await stage.sshd();
      const { listenHost, endpointHost } = sshd;
      const kubelet = await stage.use(
        startKubelet({
          host: listenHost,
          altNames: [endpointHost],
          pods: [{ ...POD, containers: [{ name: 'app' }] }],
          ...kubeletOptions,
        }),
      );
      const apiServer = await stage.use(
        startApiServer({
          objects: [
            {
              kind: 'Node',
              metadata: { name: NODE },
              status: {
                addresses: [{ type: 'InternalIP', address: endpointHost }],
                daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
              },
            },
            {
              kind: 'Pod',
              metadata: POD,
              spec: { nodeName: NODE, containers: [{ name: 'app', image: 'none' }] },
              status: { phase: 'Running', podIPs: [{ ip: '10.2.0.5' }] },
            },
          ],
        }),
      );
      const { url } = await stage.use(startProxyFront(stage.dialer(sshd), { apiServer, kubelet }));
      const kubectl = await Kubectl.create(apiServer.kubeconfig('admin', url));
      stage.onEnd(() => kubectl[Symbol.asyncDispose]());
      return { kubectl, kubelet };
    }

    it('AC-37: logs, and logs -f until the container ends', async () => {
      const { kubectl, kubelet } = await start();
      const app = kubelet.container(POD.namespace, POD.name, 'app');
      app.print('one');
      expect(await kubectl.run([...WANTED, 'logs', 'cart'])).to.include({ code: 0, stdout: 'one\n' });
      const following = kubectl.run([...WANTED, 'logs', '-f', 'cart']);
      await until('kubectl follows', () => kubelet.open.logs === 1);
      app.print('two');
      app.end();
      expect(await following).to.include({ code: 0, stdout: 'one\ntwo\n' });
    });

    for (const [transport, environment] of [
      ['WebSocket', {}],
      ['SPDY', { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' }],
    ] as const) {
      it(`AC-37: exec by ${transport} ends with the exit code of the command`, async () => {
        const { kubectl } = await start();
        const result = await kubectl.run(
          [...WANTED, 'exec', 'cart', '--', 'sh', '-c', 'echo out; echo err >&2; exit 42'],
          '',
          environment,
        );
        expect(result).to.include({ code: 42, stdout: 'out\n' });
        expect(result.stderr).to.contain('err\n');
      });

      it(`AC-37: exec -i by ${transport} gives the command what it is given, to its end`, async () => {
        const { kubectl } = await start();
        const input = randomBytes(100_000).toString('hex');
        const command = ['sh', '-c', 'cat; echo end'];
        const result = await kubectl.run(
          [...WANTED, 'exec', '-i', 'cart', '--', ...command],
          input,
          environment,
        );
        // A diff of this length helps nobody.
        expect({ ...result, stdout: result.stdout.length }).to.include({ code: 0, stdout: input.length + 4 });
        expect(result.stdout === `${input}end\n`).to.equal(true);
      });
    }

    it('AC-38: cp carries 64 MiB both ways with the same hash', async () => {
      const { kubectl } = await start();
      const content = randomBytes(64 * 2 ** 20);
      const hash = createHash('sha256').update(content).digest('hex');
      const [there, back] = [join(kubectl.folder, 'there'), join(kubectl.folder, 'back')];
      const file = join(kubectl.folder, 'file');
      await writeFile(file, content);
      // The container has the files of this machine.
      expect(await kubectl.run([...WANTED, 'cp', file, `cart:${there}`])).to.include({ code: 0 });
      expect(
        createHash('sha256')
          .update(await readFile(there))
          .digest('hex'),
      ).to.equal(hash);
      expect(await kubectl.run([...WANTED, 'cp', `cart:${there}`, back])).to.include({ code: 0 });
      expect(
        createHash('sha256')
          .update(await readFile(back))
          .digest('hex'),
      ).to.equal(hash);
    });

    for (const [transport, websockets] of [
      ['WebSocket', 'true'],
      ['SPDY', 'false'],
    ] as const) {
      /** Forwards a port of this machine to one behind the pod; tells it. */
      async function forward(kubectl: Kubectl, behind: number): Promise<number> {
        const child = spawn(Kubectl.path ?? '', [...WANTED, 'port-forward', 'cart', `:${behind}`], {
          env: { ...kubectl.environment, KUBECTL_PORT_FORWARD_WEBSOCKETS: websockets },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        stage.onEnd(async () => {
          child.kill();
          if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
        });
        const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
        return Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]);
      }

      it(`AC-42: port-forward by ${transport} carries what curl asks and what it is answered`, async () => {
        const { kubectl } = await start();
        const site = http.createServer((request, response) => response.end(`you asked for ${request.url}`));
        site.listen(0, '127.0.0.1');
        await once(site, 'listening');
        stage.onEnd(() => {
          site.close();
          site.closeAllConnections();
        });
        const port = await forward(kubectl, (site.address() as AddressInfo).port);
        const { stdout } = await run('curl', ['-sS', '-m', '60', `http://127.0.0.1:${port}/hello`]);
        expect(stdout).to.equal('you asked for /hello');
      });

      it(`AC-41: port-forward by ${transport} tells a server that its client left without a word`, async () => {
        const { kubectl } = await start();
        const server = await stage.use(startEndpoint(() => undefined));
        const port = await forward(kubectl, server.port);
        const client = connect(port, '127.0.0.1');
        const received = buffer(await server.nextConnection());
        client.end();
        expect((await received).length).to.equal(0);
      });

      for (const [number, sent] of [
        ['AC-42', 'abc'],
        ['AC-43', ''],
      ] as const) {
        it(`${number}: port-forward by ${transport} carries ${sent === '' ? 'nothing' : sent} there and 100 × x back, and the end`, async () => {
          const { kubectl } = await start();
          const server = await stage.use(startEndpoint(() => undefined));
          const port = await forward(kubectl, server.port);
          const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
          const served = await server.nextConnection();
          client.write(sent);
          if (sent !== '') expect((await read(served, sent.length)).toString()).to.equal(sent);
          const received = text(client);
          for (let chunk = 0; chunk < 10; chunk += 1) served.write('x'.repeat(10));
          served.end();
          expect(await received).to.equal('x'.repeat(100));
          client.end();
          if (!served.closed) await once(served, 'close');
        });
      }
    }
  });
});
