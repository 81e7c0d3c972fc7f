import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { read } from '../support/dialer.js';
import { waitUntil } from '../support/processes.js';
import { bundled } from './bundles.js';
import { CommandHost, Rig } from './rig.js';
import { environment, firstMatch } from './script.js';

const APP = ['web', 'app', '--'];

describe('examples: kubelet-exec', () => {
  let rig: Rig;
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  const nothingIsLeft = async (): Promise<void> => {
    await rig.ssh.until(({ connections }) => connections === 0);
    await waitUntil('the end of the command', () => rig.kubelet.open.execs === 0);
  };

  it('shows itself with --demo, and ends', async () => {
    const { stdout, ended } = rig.spawn('kubelet-exec.ts', ['--demo']);
    expect(await text(stdout)).to.match(/^This is process \d+ of \w+, through SSH and a kubelet\.\n$/);
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('ends as the command does, whose outputs it keeps apart', async () => {
    const argv = rig.argv({}, ...APP, 'sh', '-c', 'echo out; echo "$1" >&2; exit 7', 'sh', '--err');
    const { stdout, ended } = rig.spawn('kubelet-exec.ts', argv);
    expect(await text(stdout)).to.equal('out\n');
    expect(await ended).to.deep.equal({ code: 7, errors: '--err\n' });
    await nothingIsLeft();
  });

  it('gives the command what is piped to it, to the last byte', async () => {
    const bytes = randomBytes(3_000_000);
    const argv = rig.argv({}, '-i', ...APP, 'sha256sum');
    const { stdin, stdout, ended } = rig.spawn('kubelet-exec.ts', argv, { stdin: true });
    stdin?.end(bytes);
    expect(await text(stdout)).to.equal(`${createHash('sha256').update(bytes).digest('hex')}  -\n`);
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('reads nothing from stdin without -i', async () => {
    const argv = rig.argv({}, ...APP, 'cat');
    const { stdin, stdout, ended } = rig.spawn('kubelet-exec.ts', argv, { stdin: true });
    stdin?.on('error', () => undefined).write('not for the command\n');
    expect(await text(stdout)).to.equal('');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('gives no terminal where there is none', async () => {
    const argv = rig.argv({}, '-it', ...APP, 'sh', '-c', 'test -t 1 || echo none');
    const { stdin, stdout, ended } = rig.spawn('kubelet-exec.ts', argv, { stdin: true });
    stdin?.end();
    expect(await text(stdout)).to.equal('none\n');
    const { code, errors } = await ended;
    expect(code).to.equal(0);
    expect(errors).to.match(/^WARNING: stdin is no terminal.*\n$/);
  });

  it('is ended by Ctrl-C, and the command with it', async () => {
    const argv = rig.argv({}, ...APP, 'sh', '-c', 'echo here; sleep 1000');
    const { child, stdout, ended } = rig.spawn('kubelet-exec.ts', argv);
    await read(stdout, 5);
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
    await nothingIsLeft();
  });

  it('ends without a word when its reader has gone, and the command with it', async () => {
    const { child, stdout, ended } = rig.spawn('kubelet-exec.ts', rig.argv({}, ...APP, 'yes'));
    await once(stdout, 'data');
    child.stdout?.destroy();
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
    await nothingIsLeft();
  });

  it('does not take a tunnel that breaks for the end of the command', async () => {
    const argv = rig.argv({}, ...APP, 'sh', '-c', 'echo here; sleep 1000');
    const { stdout, ended } = rig.spawn('kubelet-exec.ts', argv);
    await read(stdout, 5);
    rig.ssh.cut('rst');
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-exec: .*; what became of the command is not known\n$/);
  });

  describe('in a terminal', () => {
    /** Runs a line of shell, in which $EXEC is the example's command line, under a terminal of its own. */
    function inTerminal(line: string, argv: readonly string[]): { shown: Readable; ended: Promise<string> } {
      const words = [process.execPath, bundled('examples/kubelet-exec.ts'), ...argv];
      const EXEC = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
      const command = line.replaceAll('$EXEC', EXEC);
      const child = spawn('script', ['-qfec', command, '/dev/null'], {
        env: { ...environment, TERM: 'dumb' },
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      rig.onEnd(() => child.kill('SIGKILL'));
      return { shown: child.stdout, ended: text(child.stdout) };
    }

    const SETTINGS = /SETTINGS (\S+)\r\n[^]*SETTINGS (\S+)\r\n/;
    const AROUND = 'echo "SETTINGS $(stty -g)"; $EXEC; echo "CODE $?"; echo "SETTINGS $(stty -g)"';

    function expectRestored(shown: string): void {
      const [, before, after] = SETTINGS.exec(shown) ?? [];
      expect(before, shown).to.be.a('string').and.equal(after);
    }

    it('is put through in raw mode, has its size and follows it, and is restored', async () => {
      // The command runs on this machine, and so reaches the terminal that it is shown in.
      const inside = [
        'until [ "$(stty size)" = "20 70" ]; do sleep 0.05; done',
        'stty -F "$1" -a | grep -o -e "[-]icanon" -e "[-]isig"',
        'stty -F "$1" rows 30 cols 90',
        'until [ "$(stty size)" = "30 90" ]; do sleep 0.05; done',
        'echo resized; exit 5',
      ].join('; ');
      const argv = rig.argv({}, '-it', ...APP, 'sh', '-c', inside, 'sh');
      const line = AROUND.replace('$EXEC', '$EXEC "$(tty)"');
      const shown = await inTerminal(`stty rows 20 cols 70; ${line}`, argv).ended;
      expect(shown)
        .to.match(/-isig[^]*-icanon[^]*resized/)
        .and.include('CODE 5');
      expectRestored(shown);
    });

    it('is restored when the tunnel breaks', async () => {
      const argv = rig.argv({}, '-it', ...APP, 'sh', '-c', 'echo here; sleep 1000');
      const { shown, ended } = inTerminal(AROUND, argv);
      await firstMatch(shown, /here/);
      rig.ssh.cut('rst');
      const all = await ended;
      expect(all).to.include('kubelet-exec: ').and.include('CODE 1');
      expectRestored(all);
    });

    it('is restored when a signal ends it', async () => {
      const argv = rig.argv({}, '-it', ...APP, 'sh', '-c', 'echo here; sleep 1000');
      const pid = rig.path('pid');
      const line = AROUND.replace('$EXEC', () => `sh -c 'echo $$ > "$0"; exec "$@"' ${pid} $EXEC`);
      const { shown, ended } = inTerminal(line, argv);
      await firstMatch(shown, /here/);
      process.kill(Number(await readFile(pid, 'utf8')), 'SIGTERM');
      const all = await ended;
      expect(all).to.include('CODE 143');
      expectRestored(all);
      await nothingIsLeft();
    });
  });
});

describe('examples: kubelet-exec says in one line', () => {
  let rig: Rig;
  let host: CommandHost;
  before(async () => {
    rig = await Rig.start({ protocols: ['v4'] });
    host = new CommandHost('kubeletExec');
  });
  after(async () => {
    await host.end();
    await rig.end();
  });

  it('that a command could not be run', async () => {
    const { code, errors } = await host.run(rig.argv({}, ...APP, '/nonexistent'));
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-exec: .*\/nonexistent.*\n$/);
  });

  it('that there is no such container, or no right to it', async () => {
    const elsewhere = await host.run(rig.argv({}, 'other', 'app', '--', 'ls'));
    expect(elsewhere.code).to.equal(1);
    expect(elsewhere.errors).to.match(/^kubelet-exec: the kubelet answered 404: .*; does the pod run.*\n$/);
    const anonymous = rig.argv({ cert: undefined, 'client-key': undefined }, ...APP, 'ls');
    const unknown = await host.run(anonymous);
    expect(unknown.code).to.equal(1);
    expect(unknown.errors).to.match(/^kubelet-exec: the kubelet answered 401: .*--token-file\n$/);
  });

  it('that an older kubelet cannot end stdin, and how to do without', async () => {
    const { code, errors } = await host.run(rig.argv({}, '-i', ...APP, 'cat'));
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-exec: .*v4\.channel.*--ignore-stdin-end.*\n$/);
    const without = rig.argv({}, '-i', '--ignore-stdin-end', ...APP, 'echo', 'done');
    expect(await host.run(without)).to.deep.equal({ code: 0, output: 'done\n', errors: '' });
  });

  it('how it is used wrongly', async () => {
    const wrong: [string[], RegExp][] = [
      [rig.argv({}, 'web', 'app'), /the command is missing/],
      [rig.argv({}, 'web', 'app', '--'), /the command is missing/],
      [rig.argv({}, 'web', '--', 'ls'), /got 1 names/],
      [rig.argv({}, 'web', 'app', 'ls'), /got 3 names/],
      [rig.argv({}, '..', 'app', '--', 'ls'), /the pod must be a name/],
      [rig.argv({ node: undefined }, ...APP, 'ls'), /--node is missing/],
      [rig.argv({}, '--insecure-skip-tls-verify', ...APP, 'ls'), /exclude each other/],
      [['--demo', 'web', 'app', '--', 'ls'], /--demo has a pod of its own/],
      [['--demo', '--'], /the command is missing/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      const [line = ''] = errors.split('\n').filter((each) => !each.startsWith('WARNING'));
      expect(line, argv.join(' '))
        .to.match(said)
        .and.match(/^kubelet-exec: .*\(--help shows how\)$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });
});
