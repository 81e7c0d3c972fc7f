import { expect } from 'chai';
import { startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { until } from '../../support/dialer.js';
import { ask, settled, Wire } from './client.js';

const ALL = 'input=1&output=1&error=1';

describe('testing: the attach of a kubelet', () => {
  let kubelet: Kubelet;
  beforeEach(async () => {
    const echo = ['sh', '-c', 'cat; echo over; exit 3'];
    kubelet = await startKubelet({
      pods: [
        {
          name: 'web',
          containers: [
            { name: 'cat', command: ['cat'] },
            { name: 'once', command: echo, stdinOnce: true },
            { name: 'terminal', command: ['sh', '-c', 'stty size; cat'], tty: true },
            { name: 'silent' },
          ],
        },
      ],
    });
  });
  afterEach(() => kubelet.close());

  const attach = (container: string, streams = ALL): Promise<Wire> =>
    new Wire(kubelet, `/attach/default/web/${container}?${streams}`).opened();

  it('reaches the process of the container, and everybody hears what it says', async () => {
    const [one, other] = [await attach('cat'), await attach('cat', 'output=1')];
    await until('both', () => kubelet.open.attaches === 2);
    await one.send(0, 'hello\n');
    expect(await one.until(1, /hello/)).to.equal('hello\n');
    expect(await other.until(1, /hello/)).to.equal('hello\n');
    expect((await ask(kubelet, '/containerLogs/default/web/cat')).body).to.equal('hello\n');
  });

  it('leaves the process alone when a client is gone', async () => {
    const one = await attach('cat');
    one.end(0);
    one.socket.terminate();
    await until('the end', () => kubelet.open.attaches === 0);
    const other = await attach('cat');
    await other.send(0, 'still\n');
    expect(await other.until(1, /still/)).to.equal('still\n');
  });

  it('is over for a client that has ended its stdin, unless that is the one that the container has', async () => {
    const one = await attach('cat');
    await one.send(0, 'hello\n');
    await one.until(1, /hello/);
    one.end(0);
    expect(await one.status()).to.deep.equal({ metadata: {}, status: 'Success' });
    const other = await attach('cat');
    await other.send(0, 'still\n');
    expect(await other.until(1, /still/)).to.equal('still\n');
  });

  it('lets the slowest client set the pace, until it leaves', async () => {
    const slow = await attach('cat', 'output=1');
    slow.socket.pause();
    const quick = await attach('cat');
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    for (let sent = 0; sent < 32; sent += 1) void quick.send(0, chunk);
    expect(await settled(kubelet, () => quick.length(1))).to.be.below(16 * chunk.length);
    slow.socket.terminate();
    await until('everything', () => quick.length(1) === 32 * chunk.length);
  });

  it('ends the stdin of a container that has it once, and says goodbye when that ends', async () => {
    const wire = await attach('once');
    await wire.send(0, 'value\n');
    wire.end(0);
    expect(await wire.status()).to.deep.equal({ metadata: {}, status: 'Success' });
    expect(wire.text(1)).to.equal('value\nover\n');
    const { status, body } = await new Wire(kubelet, `/attach/default/web/once?${ALL}`).refused();
    expect({ status, body }).to.deep.equal({ status: 500, body: 'container is in CONTAINER_EXITED state\n' });
  });

  it("sets the size of a container's terminal", async () => {
    const wire = await attach('terminal', 'input=1&output=1&tty=1');
    await wire.send(4, '{"Width":100,"Height":30}');
    await wire.send(0, 'typed\n');
    expect(await wire.until(1, /typed\r\n/)).to.include('typed\r\n');
  });

  it('hears what a test prints', async () => {
    const container = kubelet.container('default', 'web', 'silent');
    const wire = await attach('silent');
    await until('it', () => kubelet.open.attaches === 1);
    container.print('out');
    container.print('err', { stream: 'stderr' });
    container.end();
    await wire.closed;
    expect([wire.text(1), wire.text(2)]).to.deep.equal(['out\n', 'err\n']);
  });
});
