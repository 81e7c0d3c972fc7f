import { expect } from 'chai';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { echo, roundTrip } from '../support/dialer.js';
import { refusedEndpoint } from '../support/endpoints.js';
import { waitUntil } from '../support/processes.js';
import { CommandHost, Rig } from './rig.js';
import { firstMatch, type Script } from './script.js';

describe('examples: port-forward', () => {
  let rig: Rig;
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  async function forward(...ports: number[]): Promise<Script & { locals: readonly number[] }> {
    const wanted = ports.map((port) => `:${port}`);
    const script = rig.spawn('port-forward.ts', rig.argv({}, 'web', ...wanted));
    const lines = ports.map((port) => `port (\\d+) is port ${port} of web\n`).join('[^]*');
    const [, ...locals] = await firstMatch(script.stdout, new RegExp(lines));
    return { ...script, locals: locals.map(Number) };
  }

  async function connected(port: number): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port }).on('error', () => undefined);
    rig.onEnd(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  it('shows itself with --demo, and ends', async () => {
    const { stdout, ended } = rig.spawn('port-forward.ts', ['--demo']);
    const shown = await text(stdout);
    expect(shown).to.match(
      /^127\.0\.0\.1 port (\d+) is port \d+ of web\n\$ curl http:\/\/127\.0\.0\.1:\1\/\n/,
    );
    expect(shown).to.include('crème brûlée');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('stays with --demo --stay, until Ctrl-C', async () => {
    const { child, stdout, ended } = rig.spawn('port-forward.ts', ['--demo', '--stay']);
    const [, url = ''] = await firstMatch(stdout, /curl (\S+)\n[^]*brûlée/);
    expect(await (await fetch(url, { headers: { connection: 'close' } })).text()).to.include('brûlée');
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  it('forwards several ports, each with several connections, until Ctrl-C cuts them', async () => {
    const [one, two] = [await rig.endpoint(echo), await rig.endpoint(echo)];
    const { child, locals, ended } = await forward(one.port, two.port);
    const sockets = await Promise.all([...locals, ...locals].map(connected));
    for (const socket of sockets) await roundTrip(socket);
    expect(rig.kubelet.open.portForwards).to.equal(4);
    const cut = sockets.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve)));
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
    await Promise.all(cut);
    await rig.ssh.until(({ connections }) => connections === 0);
    await waitUntil('the end of the forwards', () => rig.kubelet.open.portForwards === 0);
  });

  it('resets a connection that cannot be forwarded, says why, and goes on', async () => {
    const { port: refused } = await refusedEndpoint();
    const { port } = await rig.endpoint(echo);
    const { child, locals, ended } = await forward(refused, port);
    const [bad = 0, good = 0] = locals;
    const socket = await connected(bad);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNRESET');
    await roundTrip(await connected(good));
    child.kill('SIGTERM');
    const { code, errors } = await ended;
    expect(code).to.equal(143);
    expect(errors).to.match(new RegExp(`^port-forward: port ${refused}: .*connection refused.*\\n$`));
  });

  it('says in one line that a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    rig.onEnd(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    const { stdout, ended } = rig.spawn('port-forward.ts', rig.argv({}, 'web', ':80', `${port}:80`));
    stdout.resume();
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^port-forward: .*EADDRINUSE.*; take another port\n$/);
  });

  it('says in one line how it is used wrongly', async () => {
    const host = new CommandHost('portForward');
    rig.onEnd(() => host.end());
    const wrong: [string[], RegExp][] = [
      [rig.argv({}, 'web'), /at least one port are needed/],
      [rig.argv({}, 'web', 'http'), /a port must be LOCAL:REMOTE/],
      [rig.argv({}, 'web', '1:2:3'), /a port must be LOCAL:REMOTE/],
      [rig.argv({}, 'web', '80:0'), /the pod's port must be/],
      [rig.argv({}, 'web', '65536:80'), /the local port must be/],
      [rig.argv({}, '../x', '80'), /the pod must be a name/],
      [rig.argv({}, '--stay', 'web', '80'), /--stay belongs to --demo/],
      [['--demo', 'web'], /--demo has a pod/],
      [rig.argv({ node: undefined }, 'web', '80'), /--node is missing/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(errors)
        .to.match(said)
        .and.match(/^port-forward: [^\n]* \(--help shows how\)\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });
});
