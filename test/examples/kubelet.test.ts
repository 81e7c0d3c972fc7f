import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { buffer, text } from 'node:stream/consumers';
import { echo, read, roundTrip } from '../support/dialer.js';
import { Rig, TOKEN } from './rig.js';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('examples: kubelet-logs and what a kubelet may do', () => {
  let rig: Rig;
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  it('asks for exactly what the kubelet understands', async () => {
    const asked: (string | undefined)[] = [];
    await rig.replaceKubelet((request, response) => {
      asked.push(request.url, request.headers.authorization);
      response.end();
    });
    const options = { namespace: 'a-b', tail: '7', since: '10m', 'token-file': rig.path('token') };
    const { stdout, ended } = rig.spawn(
      'kubelet-logs.ts',
      rig.argv(options, '-f', '-t', '-p', 'web.0', 'c-d'),
    );
    expect(await text(stdout)).to.equal('');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
    const query = 'follow=true&previous=true&sinceSeconds=600&tailLines=7&timestamps=true';
    expect(asked).to.deep.equal([`/containerLogs/a-b/web.0/c-d?${query}`, `Bearer ${TOKEN}`]);
  });

  it('passes bytes on as they are', async () => {
    const bytes = randomBytes(3_000_000);
    await rig.replaceKubelet((_request, response) => response.end(bytes));
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    expect(sha256(await buffer(stdout))).to.equal(sha256(bytes));
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('holds the kubelet back while nobody takes the output, and prints all of it then', async () => {
    const total = 64 * 1024 * 1024;
    let written = 0;
    let isStuck = (): boolean => false;
    await rig.replaceKubelet((_request, response) => {
      isStuck = () => response.writableNeedDrain;
      const fill = (): void => {
        while (written < total) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return;
        }
        response.end();
      };
      response.on('drain', fill);
      fill();
    });
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    await read(stdout, 1);
    // It has stopped for good when it writes nothing for as long as many round trips through the same node
    // take.
    const { port } = await rig.endpoint(echo);
    const probe = await rig.dialer([rig.ssh]).dial('127.0.0.1', port);
    for (let before = -1; before !== written;) {
      before = written;
      for (let count = 0; count < 1000; count += 1) await roundTrip(probe);
    }
    expect(isStuck()).to.equal(true);
    expect(written).to.be.below(total / 2);
    let received = 0;
    stdout.on('data', (chunk: Buffer) => (received += chunk.length)).resume();
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
    expect(received).to.be.within(total - 65_536, total);
  });

  it('does not take a log that is cut off for one that is complete', async () => {
    rig.log.print('the first line');
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv({}, '--follow', 'web', 'app'));
    expect((await read(stdout, 15)).toString()).to.equal('the first line\n');
    rig.ssh.cut('fin');
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-logs: .* was cut.*; what was printed is not all.*\n$/);
  });

  it('says so when the kubelet goes down in the middle of a log', async () => {
    await rig.replaceKubelet((_request, response) => {
      response.write('the first line\n', () => response.destroy());
    });
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    stdout.resume();
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^kubelet-logs: the kubelet closed the connection \(.*\)\n$/);
  });

  it('shows a refusal of the kubelet in one line, cut, and without control characters', async () => {
    await rig.replaceKubelet((_request, response) => {
      response.statusCode = 403;
      response.end(`Forbidden (user=admin,\nverb=get)\u001b[2J\u202e${'x'.repeat(5000)}`);
    });
    const { stdout, ended } = rig.spawn('kubelet-logs.ts', rig.argv());
    stdout.resume();
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(
      /^kubelet-logs: the kubelet answered 403: Forbidden \(user=admin, verb=get\) \[2J x+; .*ClusterRole.*\n$/,
    );
    expect(errors.length).to.be.below(1500);
  });
});
