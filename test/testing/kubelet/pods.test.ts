import { expect } from 'chai';
import { InvalidOptionError } from '../../../lib/index.js';
import { startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { until } from '../../support/dialer.js';
import { ask, execPath, Wire } from './client.js';

describe('testing: the pods of a kubelet', () => {
  let kubelet: Kubelet;
  beforeEach(async () => {
    kubelet = await startKubelet();
  });
  afterEach(() => kubelet.close());

  const run = (name: string, script: string): Promise<number> => {
    kubelet.addPod({ name, containers: [{ name: 'app', command: ['sh', '-c', script] }] });
    return kubelet.container('default', name, 'app').ended;
  };
  const listed = async (): Promise<string[]> => {
    const { items } = JSON.parse((await ask(kubelet, '/pods')).body) as {
      items: { metadata: { name: string } }[];
    };
    return items.map(({ metadata }) => metadata.name);
  };

  it('come while it runs, and are like those that were there', async () => {
    expect(await run('late', 'echo hello; exit 3')).to.equal(3);
    expect(await listed()).to.deep.equal(['web', 'late']);
    expect((await ask(kubelet, '/containerLogs/default/late/app')).body).to.equal('hello\n');
  });

  it('go with what runs in them, and with who is attached', async () => {
    const ended = run('late', 'sleep 1000');
    const wire = await new Wire(kubelet, '/attach/default/late/app?output=1').opened();
    await until('it', () => kubelet.open.attaches === 1);
    await kubelet.removePod('default', 'late');
    await wire.closed;
    expect(await ended).to.equal(137);
    expect(await listed()).to.deep.equal(['web']);
    const refused = await new Wire(kubelet, execPath(['true'], undefined, 'late/app')).refused();
    expect(refused.status).to.equal(404);
    await kubelet.removePod('default', 'late');
    expect(await run('late', 'exit 0')).to.equal(0);
  });

  it('say of a command that could not be started what a kubelet says', async () => {
    kubelet.addPod({ name: 'late', containers: [{ name: 'app', command: ['/no/such/program'] }] });
    expect(await kubelet.container('default', 'late', 'app').ended).to.equal(128);
    const idle = kubelet.container('default', 'web', 'app');
    idle.end();
    expect(await idle.ended).to.equal(0);
  });

  it('have a stdin unless they are said to have none', async () => {
    const app = { name: 'app', command: ['cat'] };
    kubelet.addPod({ name: 'deaf', containers: [{ ...app, stdin: false }] });
    expect(await kubelet.container('default', 'deaf', 'app').ended).to.equal(0);
    kubelet.addPod({ name: 'listening', containers: [app] });
    const wire = await new Wire(kubelet, '/attach/default/listening/app?input=1&output=1').opened();
    await wire.send(0, 'hello\n');
    expect(await wire.until(1, /hello/)).to.equal('hello\n');
  });

  it('have names of their own, and none comes when it has closed', async () => {
    const add = (name: string) => () => kubelet.addPod({ name, containers: [] });
    expect(add('web')).to.throw(InvalidOptionError, 'pod.name');
    expect(add('No Name')).to.throw(InvalidOptionError, 'pod.name');
    await kubelet.close();
    expect(add('late')).to.throw(InvalidOptionError, 'close()');
  });

  it('leave no process behind, also not one that is going as it closes', async () => {
    const ended = run('late', 'sleep 1000');
    void kubelet.removePod('default', 'late');
    await kubelet.close();
    expect(await ended).to.equal(137);
  });
});
