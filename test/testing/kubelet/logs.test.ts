import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { startKubelet, type Kubelet, type KubeletContainer } from '../../../lib/testing/index.js';
import { read, rejection, turns, until } from '../../support/dialer.js';
import { ask, open } from './client.js';

const PATH = '/containerLogs/default/web/app';

describe('testing: the logs of a kubelet', () => {
  let kubelet: Kubelet;
  let log: KubeletContainer;
  beforeEach(async () => {
    kubelet = await startKubelet();
    log = kubelet.container('default', 'web', 'app');
  });
  afterEach(() => kubelet.close());

  const get = async (query = ''): Promise<string> => (await ask(kubelet, `${PATH}?${query}`)).body;

  it('gives what was printed, on either stream', async () => {
    log.print('out');
    log.print('err', { stream: 'stderr' });
    expect(await get()).to.equal('out\nerr\n');
    expect(await get('stream=Stderr')).to.equal('err\n');
  });

  it('stamps lines with nine decimals, and no two alike', async () => {
    log.print('given', { time: '2026-01-05T01:00:00.000000007+01:00' });
    for (let count = 0; count < 1000; count += 1) log.print('now');
    const lines = (await get('timestamps=true')).trimEnd().split('\n');
    expect(lines[0]).to.equal('2026-01-05T00:00:00.000000007Z given');
    expect(new Set(lines).size).to.equal(1001);
    expect(lines.slice(1)).to.deep.equal(lines.slice(1).sort());
  });

  it('gives lines since a time, that time included, to the nanosecond', async () => {
    for (const digit of [1, 2, 3]) log.print(`${digit}`, { time: `2026-01-05T00:00:00.00000000${digit}Z` });
    expect(await get('sinceTime=2026-01-05T00:00:00.000000002Z')).to.equal('2\n3\n');
    log.print('now');
    expect(await get('sinceSeconds=60')).to.equal('now\n');
  });

  it('takes the last lines first, and leaves out of them what is too old', async () => {
    log.print('new', { time: '2026-01-05T00:00:00Z' });
    log.print('old', { time: '2025-01-05T00:00:00Z' });
    expect(await get('tailLines=1&sinceTime=2026-01-01T00:00:00Z')).to.equal('');
    expect(await get('tailLines=1')).to.equal('old\n');
    expect(await get('tailLines=0')).to.equal('');
    expect(await get('tail=all')).to.equal('new\nold\n');
    expect(await get('tail=1')).to.equal('old\n');
  });

  it('ends after so many bytes, in the middle of a line and of following', async () => {
    log.print('12345');
    expect(await get('limitBytes=3')).to.equal('123');
    expect(await get('limitBytes=3&follow=true')).to.equal('123');
  });

  it('goes on when it is followed, until the container ends', async () => {
    log.print('before');
    const response = await open(kubelet, `${PATH}?follow=true`);
    const got = text(response);
    await until('it to be followed', () => kubelet.open.logs === 1);
    log.print('after');
    await turns(10);
    log.print('last');
    log.end();
    expect(await got).to.equal('before\nafter\nlast\n');
    expect(kubelet.open.logs).to.equal(0);
    expect(await get('follow=true')).to.equal('before\nafter\nlast\n');
  });

  it('sends no header before the first line, as a kubelet does', async () => {
    let isAnswered = false;
    const answered = open(kubelet, `${PATH}?follow=true`).then((response) => {
      isAnswered = true;
      return response;
    });
    await until('it to be followed', () => kubelet.open.logs === 1);
    await ask(kubelet, '/healthz');
    expect(isAnswered).to.equal(false);
    log.print('first');
    (await answered).destroy();
    await until('the end', () => kubelet.open.logs === 0);
  });

  it('begins anew when the container restarts, and keeps the previous log', async () => {
    const { status, body } = await ask(kubelet, `${PATH}?previous=true`);
    expect({ status, body }).to.deep.equal({
      status: 400,
      body: 'previous terminated container "app" in pod "web" not found\n',
    });
    log.print('one');
    const followed = text(await open(kubelet, `${PATH}?follow=true`));
    log.restart();
    log.print('two');
    expect(await followed).to.equal('one\n');
    expect(await get()).to.equal('two\n');
    expect(await get('previous=true')).to.equal('one\n');
  });

  it('loses nothing to a follower that reads late, and holds no copy for it', async () => {
    log.print('first');
    const response = await open(kubelet, `${PATH}?follow=true`);
    response.pause();
    const line = 'x'.repeat(1000);
    for (let count = 0; count < 20_000; count += 1) log.print(`${count} ${line}`);
    log.end();
    const lines = (await text(response)).trimEnd().split('\n');
    expect(lines.length).to.equal(20_001);
    lines.slice(1).forEach((got, count) => {
      if (got !== `${count} ${line}`) throw new Error(`line ${count} is ${got}`);
    });
  });

  it('notices that a follower is gone', async () => {
    log.print('first');
    const response = await open(kubelet, `${PATH}?follow=true`);
    await read(response, 6);
    response.destroy();
    await until('the end', () => kubelet.open.logs === 0);
  });

  it('has what the process of a container prints, line by line', async () => {
    const command = [
      'sh',
      '-c',
      'printf one; printf "\\ntwo" ; echo err >&2; head -c 20000 /dev/zero | tr "\\0" x',
    ];
    await using other = await startKubelet({
      pods: [{ name: 'web', containers: [{ name: 'app', command }] }],
    });
    const lines = (await ask(other, `${PATH}?follow=true&stream=Stdout`)).body.split('\n');
    expect(lines.map(({ length }) => length)).to.deep.equal([3, 16_384, 20_003 - 16_384, 0]);
    expect((await ask(other, `${PATH}?follow=true&stream=Stderr`)).body).to.equal('err\n');
  });

  it('ends what is followed when it closes, as a break', async () => {
    log.print('first');
    const response = await open(kubelet, `${PATH}?follow=true`);
    const got = rejection(text(response));
    await kubelet.close();
    expect(await got).to.have.property('code', 'ECONNRESET');
    expect(kubelet.open.logs).to.equal(0);
  });

  const refusals: Record<string, [path: string, status: number, body: string]> = {
    'an unknown pod': ['/containerLogs/default/nobody/app', 404, 'pod "nobody" does not exist\n'],
    'another namespace': ['/containerLogs/other/web/app', 404, 'pod "web" does not exist\n'],
    'an unknown container': ['/containerLogs/default/web/x', 404, 'container "x" not found in pod "web"\n'],
    'no container': ['/containerLogs/default/web', 404, '404 page not found\n'],
    'a number that is none': [`${PATH}?tailLines=some`, 400, '{"message": "Unable to decode query."}\n'],
    'a time that is none': [`${PATH}?sinceTime=yesterday`, 400, '{"message": "Unable to decode query."}\n'],
    'less than no lines': [`${PATH}?tailLines=-1`, 422, '{"message": "Invalid request."}\n'],
    'no bytes': [`${PATH}?limitBytes=0`, 422, '{"message": "Invalid request."}\n'],
    'no seconds': [`${PATH}?sinceSeconds=0`, 422, '{"message": "Invalid request."}\n'],
    'two times': [
      `${PATH}?sinceSeconds=1&sinceTime=2026-01-05T00:00:00Z`,
      422,
      '{"message": "Invalid request."}\n',
    ],
  };
  for (const [what, [path, expected, words]] of Object.entries(refusals)) {
    it(`refuses ${what}`, async () => {
      const { status, body } = await ask(kubelet, path);
      expect({ status, body }).to.deep.equal({ status: expected, body: words });
    });
  }
});
