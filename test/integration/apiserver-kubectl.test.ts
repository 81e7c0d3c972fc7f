import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { describeFor } from '../support/applicability.js';
import { read, until } from '../support/dialer.js';
import { startEndpoint } from '../support/endpoints.js';
import { execTransports, forwardTransports, kubectlHere } from '../support/kubectl.js';
import { KubectlStage, POD, WANTED } from './kubectl-stage.js';

const run = promisify(execFile);

/** The real kubectl, an apiserver proxy, a real sshd, and a kubelet behind it. */
describeFor(kubectlHere, 'kubectl through the apiserver proxy and a real sshd', () => {
  describe('of this machine', function () {
    this.timeout(120_000);
    const stage = new KubectlStage();
    afterEach(() => stage.end());

    it('AC-37: logs, and logs -f until the container ends', async () => {
      const { kubectl, kubelet } = await stage.start();
      const app = kubelet.container(POD.namespace, POD.name, 'app');
      app.print('one');
      expect(await kubectl.run([...WANTED, 'logs', 'cart'])).to.include({ code: 0, stdout: 'one\n' });
      const following = kubectl.run([...WANTED, 'logs', '-f', 'cart']);
      await until('kubectl follows', () => kubelet.open.logs === 1);
      app.print('two');
      app.end();
      expect(await following).to.include({ code: 0, stdout: 'one\ntwo\n' });
    });

    for (const { transport, method, environment, needs } of execTransports()) {
      describeFor(needs, `by ${transport}`, () => {
        it(`AC-37: exec ends with the exit code of the command`, async () => {
          const { kubectl, answered } = await stage.start();
          const result = await kubectl.run(
            [...WANTED, 'exec', 'cart', '--', 'sh', '-c', 'echo out; echo err >&2; exit 42'],
            '',
            environment,
          );
          expect(result).to.include({ code: 42, stdout: 'out\n' });
          expect(result.stderr).to.contain('err\n');
          await until('the end of the stream', () => answered('exec').length > 0);
          expect(answered('exec')).to.deep.equal([`${method} 101`]);
        });

        it(`AC-37: exec -i gives the command what it is given, to its end`, async () => {
          const { kubectl } = await stage.start();
          const input = randomBytes(100_000).toString('hex');
          const command = ['sh', '-c', 'cat; echo end'];
          const result = await kubectl.run(
            [...WANTED, 'exec', '-i', 'cart', '--', ...command],
            input,
            environment,
          );
          // A diff of this length helps nobody.
          expect({ ...result, stdout: result.stdout.length }).to.include({
            code: 0,
            stdout: input.length + 4,
          });
          expect(result.stdout === `${input}end\n`).to.equal(true);
        });
      });
    }

    it('AC-38: cp carries 64 MiB both ways with the same hash', async () => {
      const { kubectl } = await stage.start();
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

    for (const { transport, environment, needs } of forwardTransports()) {
      describeFor(needs, `by ${transport}`, () => {
        it(`AC-42: port-forward carries what curl asks and what it is answered`, async () => {
          const { kubectl } = await stage.start();
          const site = http.createServer((request, response) => response.end(`you asked for ${request.url}`));
          site.listen(0, '127.0.0.1');
          await once(site, 'listening');
          stage.onEnd(() => {
            site.close();
            site.closeAllConnections();
          });
          const port = await stage.forward(kubectl, (site.address() as AddressInfo).port, environment);
          const { stdout } = await run('curl', ['-sS', '-m', '60', `http://127.0.0.1:${port}/hello`]);
          expect(stdout).to.equal('you asked for /hello');
        });

        it(`AC-41: port-forward tells a server that its client left without a word`, async () => {
          const { kubectl } = await stage.start();
          const server = await stage.use(startEndpoint(() => undefined));
          const port = await stage.forward(kubectl, server.port, environment);
          const client = connect(port, '127.0.0.1');
          const received = buffer(await server.nextConnection());
          client.end();
          expect((await received).length).to.equal(0);
        });

        for (const [number, sent] of [
          ['AC-42', 'abc'],
          ['AC-43', ''],
        ] as const) {
          it(`${number}: port-forward carries ${sent === '' ? 'nothing' : sent} there and 10 times 10 × x back, each as it comes, and the end`, async () => {
            const { kubectl } = await stage.start();
            const server = await stage.use(startEndpoint(() => undefined));
            const port = await stage.forward(kubectl, server.port, environment);
            const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
            const served = await server.nextConnection();
            client.write(sent);
            if (sent !== '') expect((await read(served, sent.length)).toString()).to.equal(sent);
            for (let chunk = 0; chunk < 10; chunk += 1) {
              served.write('x'.repeat(10));
              // What is said comes when it is said, not at the end.
              expect((await read(client, 10)).toString()).to.equal('x'.repeat(10));
            }
            served.end();
            expect(await text(client)).to.equal('');
            client.end();
            if (!served.closed) await once(served, 'close');
          });
        }
      });
    }
  });
});
