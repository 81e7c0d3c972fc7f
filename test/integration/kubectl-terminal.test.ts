import { expect } from 'chai';
import { Child } from '../../lib/testing/kubelet/child.js';
import { describeFor, type Feature } from '../support/applicability.js';
import { until } from '../support/dialer.js';
import { findProgram } from '../support/find-program.js';
import { execTransports, Kubectl, kubectlHere } from '../support/kubectl.js';
import { KubectlStage, WANTED } from './kubectl-stage.js';

/** What a terminal is made with. */
const script: Feature = { name: 'script of util-linux', present: findProgram('script') !== undefined };

/** Tells its size at once and whenever it changes, until a line is typed. */
const TELLER = "trap 'stty size' WINCH; stty size; until read line; do :; done; echo got $line; exit 7";

describeFor(
  [kubectlHere, script],
  'kubectl in a terminal, through the apiserver proxy and a real sshd',
  () => {
    describe('of this machine', function () {
      this.timeout(120_000);
      const stage = new KubectlStage();
      afterEach(() => stage.end());

      for (const { transport, method, environment, needs } of execTransports()) {
        describeFor(needs, `by ${transport}`, () => {
          it(`exec -it has a terminal of the size of kubectl's, which follows it, and the exit code`, async () => {
            const { kubectl, answered } = await stage.start();
            const surroundings = { ...kubectl.environment, ...environment };
            const line = [Kubectl.path ?? '', ...WANTED, 'exec', '-it', 'cart', '--', 'sh', '-c', TELLER];
            const child = new Child(
              line,
              { stdin: true, stdout: true, stderr: false, tty: true },
              surroundings,
            );
            stage.onEnd(() => {
              child.kill();
              return child.ended;
            });
            let shown = '';
            child.stdout?.setEncoding('utf8').on('data', (text: string) => (shown += text));
            for (const { columns, rows } of [
              { columns: 101, rows: 33 },
              { columns: 120, rows: 40 },
            ]) {
              child.terminal?.resize({ columns, rows });
              await until(`the size ${rows} ${columns}`, () => shown.includes(`${rows} ${columns}\r\n`));
            }
            child.stdin?.write('value\r');
            expect(await child.ended).to.equal(7);
            // What is typed is shown by the terminal of the container, and by that one only.
            expect(shown).to.match(/\r\nvalue\r\ngot value\r\n/);
            expect(shown.match(/value\r\n/g)).to.have.length(2);
            await until('the end of the stream', () => answered('exec').length > 0);
            expect(answered('exec')).to.deep.equal([`${method} 101`]);
          });
        });
      }
    });
  },
);
