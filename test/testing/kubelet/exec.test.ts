import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { until } from '../../support/dialer.js';
import { ask, execPath, settled, Wire } from './client.js';

describe('testing: the exec of a kubelet', () => {
  let kubelet: Kubelet;
  beforeEach(async () => {
    kubelet = await startKubelet();
  });
  afterEach(() => kubelet.close());

  const run = (script: string, streams?: string, protocols?: string | string[]): Wire =>
    new Wire(kubelet, execPath(['sh', '-c', script], streams), protocols);

  it('tells stdout from stderr, and the exit code after both', async () => {
    const wire = run('echo out; echo err >&2; exit 42');
    expect(await wire.status()).to.deep.include({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '42' }] },
    });
    expect(wire.text(1)).to.equal('out\n');
    expect(wire.text(2)).to.equal('err\n');
    expect(wire.order.at(-1)).to.equal(3);
    expect(await wire.closed).to.equal(1000);
  });

  it('greets with nothing on the lowest channel that is read', async () => {
    for (const [streams, channel] of [
      ['output=1&error=1', 1],
      ['error=1', 2],
      ['input=1', 3],
    ] as const) {
      const wire = run('exit 0', streams);
      await wire.closed;
      expect(wire.order[0], streams).to.equal(channel);
    }
  });

  it('says of success that it is one', async () => {
    expect(await run('exit 0').status()).to.deep.equal({ metadata: {}, status: 'Success' });
  });

  it('says of a command that a signal ended what a shell says', async () => {
    const status = await run('kill -9 $$').status();
    expect(status).to.have.nested.property('details.causes[0].message', '137');
  });

  it('says why a command could not be run', async () => {
    const status = await new Wire(kubelet, execPath(['/no such program'])).status();
    expect(status).to.include({ reason: 'InternalError', code: 500 });
    expect(status.message).to.match(/exec: "\/no such program": executable file not found in \$PATH/);
    const long = await new Wire(kubelet, execPath(['sh', '-c', `: ${'x'.repeat(200_000)}`])).status();
    expect(long).to.include({ reason: 'InternalError' });
  });

  it('carries 64 MiB through stdin and stdout unchanged, and half-closes stdin (v5)', async () => {
    const wire = await new Wire(kubelet, execPath(['cat'], 'input=1&output=1')).opened();
    const sent = createHash('sha256');
    for (let chunk = 0; chunk < 64; chunk += 1) {
      const bytes = randomBytes(1024 * 1024);
      sent.update(bytes);
      await wire.send(0, bytes);
    }
    wire.end(0);
    expect(await wire.status()).to.include({ status: 'Success' });
    expect(wire.length(1)).to.equal(64 * 1024 * 1024);
    expect(createHash('sha256').update(wire.bytes(1)).digest('hex')).to.equal(sent.digest('hex'));
  });

  it('stops a command whose output is not read, and loses none of it', async () => {
    const script = 'echo $$ >&2; read -r go; head -c 33554432 /dev/zero';
    const wire = await run(script, 'input=1&output=1&error=1').opened();
    const pid = Number.parseInt(await wire.until(2, /\n/), 10);
    await wire.send(0, 'go\n');
    wire.socket.pause();
    await settled(kubelet, () => kubelet.open.execs);
    expect(isAlive(pid)).to.equal(true);
    wire.socket.resume();
    expect(await wire.status()).to.include({ status: 'Success' });
    expect(wire.length(1)).to.equal(33_554_432);
  });

  it('holds up a client whose command does not read', async () => {
    const wire = await run('sleep 1000', 'input=1&output=1').opened();
    const chunk = Buffer.alloc(1024 * 1024);
    for (let sent = 0; sent < 32; sent += 1) void wire.send(0, chunk);
    // In whole chunks: the kubelet's pings are answered all the while.
    const waiting = await settled(kubelet, () => Math.ceil(wire.socket.bufferedAmount / chunk.length));
    expect(waiting).to.be.above(16);
    wire.socket.terminate();
    await until('the end', () => kubelet.open.execs === 0);
  });

  it('goes on when the command has closed its stdin', async () => {
    const wire = await run('exec 0<&-; sleep 0.1; echo done', 'input=1&output=1').opened();
    for (let sent = 0; sent < 8; sent += 1) await wire.send(0, Buffer.alloc(1024 * 1024));
    expect(await wire.status()).to.include({ status: 'Success' });
    expect(wire.text(1)).to.equal('done\n');
  });

  it('has no half-close in v4', async () => {
    const wire = await run('cat', 'input=1&output=1', 'v4.channel.k8s.io').opened();
    wire.end(0);
    await wire.send(0, 'still there');
    expect(await wire.until(1, /there/)).to.equal('still there');
    wire.socket.close();
    await until('the end', () => kubelet.open.execs === 0);
  });

  it("takes the first protocol on the client's list that it speaks", async () => {
    const wire = await run('exit 0', undefined, [
      'v9.channel.k8s.io',
      'v4.channel.k8s.io',
      'v5.channel.k8s.io',
    ]).opened();
    expect(wire.socket.protocol).to.equal('v4.channel.k8s.io');
    await wire.closed;
  });

  it('speaks the first protocol, which tells of failure only what it is, however old the kubelet', async () => {
    await using old = await startKubelet({ protocols: ['v4'] });
    const [first, other] = ['echo out', 'exit 42'].map(
      (script) => new Wire(old, execPath(['sh', '-c', script]), 'channel.k8s.io'),
    );
    await first?.closed;
    expect([first?.text(1), first?.received.has(3)]).to.deep.equal(['out\n', false]);
    await other?.closed;
    expect(other?.text(3)).to.match(/^command terminated with non-zero exit code: .*exit code 42$/);
  });

  it('refuses protocols that it does not speak with 403 and no word', async () => {
    await using old = await startKubelet({ protocols: ['v4'] });
    const { status, body } = await new Wire(old, execPath(['true'])).refused();
    expect({ status, body }).to.deep.equal({ status: 403, body: '' });
  });

  it('runs a command under a terminal of the size that the client says', async () => {
    const wire = await run(
      'read -r line; stty size; [ -t 0 ] && [ -t 1 ]; exit 7',
      'input=1&output=1&tty=1',
    ).opened();
    await wire.send(4, JSON.stringify({ Width: 123, Height: 45 }));
    // The size is set by a process of its own: asked for until it is there.
    const watched = run('until stty size | grep -q "45 123"; do :; done; echo sized', 'output=1&tty=1');
    await watched.opened();
    await watched.send(4, JSON.stringify({ Width: 123, Height: 45 }));
    expect(await watched.until(1, /sized/)).to.equal('sized\r\n');
    await wire.send(0, 'go\n');
    expect(await wire.status()).to.have.nested.property('details.causes[0].message', '7');
    expect(wire.text(1)).to.match(/^go\r\n/);
  });

  describe('when the client is gone', () => {
    const gone = async (script: string, streams: string, leave: (wire: Wire) => void): Promise<void> => {
      const wire = await run(`echo $$; ${script}`, `output=1&${streams}`).opened();
      const pid = Number.parseInt(await wire.until(1, /\d+\r?\n/), 10);
      leave(wire);
      await until('the end of the exec', () => kubelet.open.execs === 0);
      await until('the end of its process', () => !isAlive(pid));
    };

    it('kills the command and its children', () =>
      gone('sleep 1000 & sleep 1000', '', ({ socket }) => socket.terminate()));
    it('kills it when it leaves politely', () => gone('sleep 1000', '', ({ socket }) => socket.close()));
    it('kills what ignores everything', () =>
      gone('trap "" HUP TERM INT PIPE; while :; do sleep 1; done', '', ({ socket }) => socket.terminate()));
    it('kills what runs under a terminal', () =>
      gone('trap "" HUP TERM; while :; do sleep 1; done', 'tty=1&input=1', ({ socket }) =>
        socket.terminate(),
      ));
    it('kills it although its stdin is full', () =>
      gone('sleep 1000', 'input=1', (wire) => {
        for (let sent = 0; sent < 32; sent += 1) void wire.send(0, Buffer.alloc(1024 * 1024));
        setImmediate(() => wire.socket.terminate());
      }));
  });

  it('is over when the kubelet closes, whatever runs', async () => {
    const wire = await run('echo $$; trap "" TERM HUP; sleep 1000').opened();
    const pid = Number.parseInt(await wire.until(1, /\n/), 10);
    await kubelet.close();
    expect(await wire.closed).to.equal(1006);
    expect(kubelet.open).to.deep.equal({ execs: 0, attaches: 0, portForwards: 0, logs: 0 });
    await until('the end of its process', () => !isAlive(pid));
  });

  it('gives a command nothing of the environment of the test', async () => {
    process.env.TUNNEL_TEST_SECRET = 'secret';
    const wire = run('env');
    await wire.closed;
    delete process.env.TUNNEL_TEST_SECRET;
    expect(wire.text(1)).to.include('HOSTNAME=web\n').and.not.include('secret');
  });

  const refusals: Record<string, [path: string, status: number, body: string]> = {
    'no stream': [
      '/exec/default/web/app?command=true',
      400,
      'you must specify at least 1 of stdin, stdout, stderr\n',
    ],
    'no command': ['/exec/default/web/app?output=1', 400, 'you must specify a command\n'],
    'an unknown pod': ['/exec/default/nobody/app?output=1&command=true', 404, 'pod does not exist\n'],
    'another pod of that name': [
      '/exec/default/web/uid-of-old/app?output=1&command=true',
      404,
      'pod not found\n',
    ],
    'an unknown container': [
      '/exec/default/web/nobody?output=1&command=true',
      500,
      'container not found ("nobody")\n',
    ],
  };
  for (const [what, [path, expected, text]] of Object.entries(refusals)) {
    it(`refuses ${what} before the upgrade`, async () => {
      const { status, body } = await new Wire(kubelet, path).refused();
      expect({ status, body }).to.deep.equal({ status: expected, body: text });
    });
  }

  it('wants an upgrade', async () => {
    const { status, body } = await ask(kubelet, execPath(['true']), { method: 'POST' });
    expect({ status, body }).to.deep.equal({ status: 500, body: 'Upgrade request required\n' });
  });
});

/** A zombie, whom nobody has waited for, is not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
