import { expect } from 'chai';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startBlackHole } from '../support/black-hole.js';
import { read } from '../support/dialer.js';
import { HELP } from '../../examples/support/arguments.js';
import { Rig } from './rig.js';
import { firstMatch } from './script.js';

describe('examples: as processes', () => {
  let rig: Rig;
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  it('kubelet-logs --help prints its help', async () => {
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', ['--help']);
    expect(await text(stdout)).to.equal(HELP);
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('kubelet-logs prints a log and ends', async () => {
    for (const number of [1, 2, 3]) rig.log.print(`größer als ${number}`);
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    expect(await text(stdout)).to.equal('größer als 1\ngrößer als 2\ngrößer als 3\n');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('kubelet-logs fails with exit code 1 and one line on stderr', async () => {
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv({ ca: undefined }));
    expect(await text(stdout)).to.equal('');
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-logs: the kubelet's certificate is refused.*\n$/);
  });

  it('kubelet-logs fails with exit code 2 when it is used wrongly', async () => {
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', ['web']);
    stdout.resume();
    const { code, errors } = await ended;
    expect(code).to.equal(2);
    expect(errors).to.match(/^kubelet-logs: --node is missing.*\n$/);
  });

  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`kubelet-logs --follow prints what is added until ${signal}, and leaves nothing behind`, async () => {
      rig.log.print('first');
      const { child, stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv({}, '-f', 'web', 'app'));
      expect((await read(stdout, 6)).toString()).to.equal('first\n');
      rig.log.print('second');
      expect((await read(stdout, 7)).toString()).to.equal('second\n');
      child.kill(signal);
      expect(await ended).to.deep.equal({ code: expected, errors: '' });
      await rig.ssh.until(({ connections }) => connections === 0);
    });
  }

  it('kubelet-logs is ended by Ctrl-C also while it connects', async () => {
    rig.ssh.faults.silent();
    const { child, stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    stdout.resume();
    await rig.ssh.until(({ connections }) => connections === 1);
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  it('fleet-health is ended by Ctrl-C also while a machine does not answer', async () => {
    await using hole = await startBlackHole();
    rig.ssh.faults.silent();
    const { address, port } = rig.ssh.spec;
    const nodes = [
      { name: 'a', address: hole.host, port: hole.port },
      { name: 'b', address, port },
    ];
    const files = ['--key', rig.path('key'), '--known-hosts', rig.path('known_hosts')];
    const argv = ['--timeout=600', ...files, await rig.file('nodes.json', JSON.stringify(nodes))];
    const { child, stdout, ended } = rig.spawn('fleet-health.ts', argv);
    stdout.resume();
    // The first is asked before the second.
    await rig.ssh.until(({ connections }) => connections >= 1);
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  it('kubelet-logs ends without a word when its reader has gone', async () => {
    await rig.replaceKubelet((_request, response) => {
      const fill = (): void => {
        while (response.write('a line that is long enough to fill a pipe after some time\n'));
      };
      response.on('drain', fill);
      fill();
    });
    const { child, stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    await once(stdout, 'data');
    child.stdout?.destroy();
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  for (const [script, argv] of [
    ['demo.ts', []],
    ['kubelet-logs.ts', ['--demo']],
  ] as const) {
    it(`${[script, ...argv].join(' ')} shows all of it and ends by itself with exit code 0`, async () => {
      const { stdout, ended } = rig.spawn(script, argv);
      const shown = await text(stdout);
      expect(await ended).to.deep.equal({ code: 0, errors: '' });
      expect(shown).to.match(/host key SHA256:\S+ is accepted/);
      expect(shown).to.match(/dialled 127\.0\.0\.1:10250 through \S+ in [\d.]+ ms/);
      expect(shown).to.match(/order 1025: .*\n.*was cut/);
      expect(shown).to.include('presented another host key');
      // No terminal, no colours.
      expect(shown).not.to.include('\u001b');
    });
  }

  it('the demo is ended by Ctrl-C also in the middle, and leaves no file behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tunnel-dialer-test-'));
    rig.onEnd(() => rm(folder, { recursive: true }));
    const { child, stdout, ended } = rig.spawn('demo.ts', [], { environment: { TMPDIR: folder } });
    await firstMatch(stdout, /order 1021: /);
    child.kill('SIGINT');
    const { code } = await ended;
    expect(code).to.equal(130);
    expect((await readdir(folder)).filter((name) => name.startsWith('tunnel-dialer-demo-'))).to.deep.equal(
      [],
    );
  });
});
