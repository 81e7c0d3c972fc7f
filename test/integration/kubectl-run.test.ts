import { expect } from 'chai';
import { runPods } from '../../lib/testing/index.js';
import { describeFor } from '../support/applicability.js';
import { until } from '../support/dialer.js';
import { execTransports, kubectlHere } from '../support/kubectl.js';
import { KubectlStage, POD, WANTED, type KubectlCluster } from './kubectl-stage.js';

/** Reads a line, and tells it with what follows; the end of stdin, too. */
const READER = ['--', 'sh', '-c', "read s; echo read:$s && cat && echo 'stdin closed'"];

describeFor(kubectlHere, 'kubectl run and attach through the apiserver proxy and a real sshd', () => {
  describe('of this machine', function () {
    this.timeout(120_000);
    const stage = new KubectlStage();
    afterEach(() => stage.end());

    async function start(): Promise<KubectlCluster> {
      const command = ['sh', '-c', 'while read line; do echo "got $line"; done'];
      const cluster = await stage.start({ pods: [{ ...POD, containers: [{ name: 'app', command }] }] });
      stage.onEnd(runPods(cluster.apiServer, cluster.kubelet));
      return cluster;
    }

    const run = (name: string, ...more: readonly string[]): string[] => [
      ...WANTED,
      'run',
      name,
      '--image=busybox',
      '--restart=Never',
      '--attach',
      ...more,
    ];

    const phaseOf = ({ apiServer }: KubectlCluster, name: string): unknown =>
      (apiServer.get('Pod', name, POD.namespace)?.status as { phase?: string } | undefined)?.phase;

    for (const { transport, environment, needs } of execTransports()) {
      describeFor(needs, `by ${transport}`, () => {
        it(`AC-39: run --attach --stdin shows what the pod makes of stdin, and of its end`, async () => {
          const cluster = await start();
          const result = await cluster.kubectl.run(
            [...run('run-test', '--stdin'), ...READER],
            'value\nabcd1234',
            environment,
          );
          expect(result).to.include({ code: 0, stdout: 'read:value\nabcd1234stdin closed\n' });
          expect(phaseOf(cluster, 'run-test')).to.equal('Succeeded');
        });

        it(`AC-39: run --attach --stdin --leave-stdin-open leaves the pod running`, async () => {
          const cluster = await start();
          const running = stage.running(
            cluster.kubectl,
            [...run('run-test-3', '--stdin', '--leave-stdin-open'), ...READER],
            environment,
          );
          running.type('value\nabcd1234\n');
          await running.until(/read:value\nabcd1234\n/);
          running.endInput();
          expect(await running.ended).to.equal(0);
          expect(running.shown).not.to.contain('stdin closed');
          expect(phaseOf(cluster, 'run-test-3')).to.equal('Running');
          const { stdout } = await cluster.kubectl.run([...WANTED, 'logs', 'run-test-3']);
          expect(stdout).to.equal('read:value\nabcd1234\n');
        });

        it(`attach -i reaches what runs, and leaves it when its stdin ends`, async () => {
          const { kubectl, kubelet } = await start();
          for (const word of ['one', 'two']) {
            const attached = stage.running(kubectl, [...WANTED, 'attach', '-i', 'cart'], environment);
            attached.type(`${word}\n`);
            await attached.until(new RegExp(`got ${word}\n`));
            attached.endInput();
            expect(await attached.ended).to.equal(0);
          }
          await until('nobody is attached', () => kubelet.open.attaches === 0);
        });

        it(`attach shows what is printed, until the container ends`, async () => {
          const { kubectl, kubelet } = await start();
          const app = kubelet.container(POD.namespace, POD.name, 'app');
          const attached = stage.running(kubectl, [...WANTED, 'attach', 'cart'], environment);
          // Nothing tells when it has begun to listen.
          await until('kubectl shows what is printed', () => {
            app.print('hello');
            return attached.shown.includes('hello\n');
          });
          app.end();
          expect(await attached.ended).to.equal(0);
        });
      });
    }

    it('AC-39: run --attach without --stdin gives the pod nothing to read', async () => {
      const { kubectl } = await start();
      const command = ['--', 'sh', '-c', "cat && echo 'stdin closed'"];
      const { code, stdout } = await kubectl.run([...run('run-test-2'), ...command], 'abcd1234');
      // It may have ended before anybody was attached; kubectl shows its log then.
      expect({ code, stdout }).to.deep.equal({ code: 0, stdout: 'stdin closed\n' });
    });

    it('run ends with the exit code of the pod, and --rm takes it away', async () => {
      const cluster = await start();
      const command = ['--', 'sh', '-c', 'read s; exit 7'];
      const args = [...run('failing', '--stdin', '--rm', '--quiet'), ...command];
      expect(await cluster.kubectl.run(args, 'now\n')).to.include({ code: 7 });
      expect(phaseOf(cluster, 'failing')).to.equal(undefined);
    });

    it('delete ends what runs in a pod', async () => {
      const { kubectl, kubelet } = await start();
      const made = await kubectl.run([...WANTED, 'run', 'long', '--image=busybox', '--', 'sleep', '1000']);
      expect(made).to.include({ code: 0, stdout: 'pod/long created\n' });
      expect(await kubectl.run([...WANTED, 'wait', '--for=condition=Ready', 'pod/long'])).to.include({
        code: 0,
      });
      const { ended } = kubelet.container(POD.namespace, 'long', 'long');
      expect(await kubectl.run([...WANTED, 'delete', 'pod', 'long'])).to.include({ code: 0 });
      expect(await ended).to.equal(137);
    });
  });
});
