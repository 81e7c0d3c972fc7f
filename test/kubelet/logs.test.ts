import { expect } from 'chai';
import { getEventListeners, once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { ClosedError, InvalidOptionError, TransportError } from '../../lib/index.js';
import { KubeletError, LogCutError, type KubeletClient, type LogOptions } from '../../lib/kubelet/index.js';
import type { KubeletContainer } from '../../lib/testing/index.js';
import { read, rejection, turns, until, warningsDuring } from '../support/dialer.js';
import { expectNoLeaks } from '../support/leaks.js';
import { below, seededRandom } from '../support/seeded-random.js';
import { KubeletStage } from './stage.js';

const container = { namespace: 'default', pod: 'web', container: 'app' };
const resume = { resume: true, retryMinMs: 1, retryMaxMs: 5 };

/** What a stream gives and how it ends. */
async function outcomeOf(stream: Readable): Promise<{ text: string; error: unknown }> {
  let given = '';
  stream
    .setEncoding('utf8')
    .on('data', (part: string) => (given += part))
    .resume();
  const error = await new Promise((resolve) => {
    stream.once('error', resolve).once('end', () => resolve(undefined));
  });
  return { text: given, error };
}

describe('kubelet: logs', () => {
  let stage: KubeletStage;
  let kubelet: KubeletClient;
  let log: KubeletContainer;

  beforeEach(async () => {
    stage = await KubeletStage.start();
    kubelet = stage.client();
    log = stage.kubelet.container('default', 'web', 'app');
  });
  afterEach(() => stage.end());

  const logs = (options: Partial<LogOptions> = {}): Promise<Readable> =>
    kubelet.logs({ ...container, ...options });
  const asked = (): string[] => stage.kubelet.requests.map(({ url }) => url);
  const print = (...lines: string[]): void => lines.forEach((line) => log.print(line));

  it('are given as they are', async () => {
    print('one', '', 'drei ☃');
    expect(await text(await logs())).to.equal('one\n\ndrei ☃\n');
  });

  it('are asked for as the options say, and nothing else', async () => {
    await text(await logs());
    await text(
      await logs({ tailLines: 0, sinceSeconds: 5, limitBytes: 7, timestamps: true, previous: false }),
    );
    const since = new Date(Date.UTC(2026, 0, 1));
    await text(await logs({ sinceTime: since }));
    expect(asked()).to.deep.equal([
      '/containerLogs/default/web/app',
      '/containerLogs/default/web/app?limitBytes=7&sinceSeconds=5&tailLines=0&timestamps=true',
      '/containerLogs/default/web/app?sinceTime=2026-01-01T00%3A00%3A00.000Z',
    ]);
  });

  const wrong: Record<string, Partial<Record<keyof LogOptions, unknown>>> = {
    tailLines: { tailLines: -1 },
    limitBytes: { limitBytes: 0 },
    sinceSeconds: { sinceSeconds: 0 },
    sinceTime: { sinceSeconds: 1, sinceTime: '2026-01-01T00:00:00Z' },
    'sinceTime ': { sinceTime: 'yesterday' },
    namespace: { namespace: '' },
    pod: { pod: '..' },
    container: { container: 'a/b' },
    follow: { follow: 'yes' },
    'follow.retryMaxMs': { follow: { resume: true, retryMinMs: 10, retryMaxMs: 1 } },
    'follow.resum': { follow: { resum: true } },
    tail: { tail: 1 } as never,
    signal: { signal: 1 },
  };
  for (const [option, options] of Object.entries(wrong)) {
    it(`are not asked for when an option is wrong: ${JSON.stringify(options)}`, async () => {
      const error = await rejection<InvalidOptionError>(logs(options as Partial<LogOptions>));
      expect(error).to.be.instanceOf(InvalidOptionError).and.include({ option: option.trim() });
      expect(stage.ssh.totalChannels).to.equal(0);
    });
  }

  it('say how they are followed', async () => {
    const error = await rejection(logs({ follow: 'resume' as never }));
    expect(error.message).to.equal('follow must be true, false or { resume: true }, got "resume"');
  });

  const refusals: [string, Partial<LogOptions>, string, number, RegExp][] = [
    [
      'a pod that is not there',
      { pod: 'nginx' },
      'ERR_KUBELET_NOT_FOUND',
      404,
      /^pod "nginx" does not exist$/,
    ],
    [
      'a container that is not there',
      { container: 'x' },
      'ERR_KUBELET_NOT_FOUND',
      404,
      /^container "x" not found in pod "web"$/,
    ],
  ];
  for (const [what, options, code, status, said] of refusals) {
    for (const follow of [false, true, resume]) {
      it(`are refused in the kubelet's own words: ${what}, ${follow === false ? 'once' : 'followed'}`, async () => {
        const error = await rejection<KubeletError>(logs({ ...options, follow }));
        expect(error).to.be.instanceOf(KubeletError).and.include({ code, status, node: 'node-1' });
        expect(error.text).to.match(said);
        expect(asked()).to.have.length(1);
      });
    }
  }

  it('are followed until the container ends', async () => {
    print('one');
    const stream = await logs({ follow: true });
    expect((await read(stream, 4)).toString()).to.equal('one\n');
    print('two');
    expect((await read(stream, 4)).toString()).to.equal('two\n');
    log.end();
    expect(await text(stream)).to.equal('');
  });

  it('are followed from a container that has printed nothing yet', async () => {
    const stream = await logs({ follow: true });
    print('one');
    expect((await read(stream, 4)).toString()).to.equal('one\n');
    stream.destroy();
  });

  it('are limited by what is given, when they are followed', async () => {
    print('12345', '67890', 'more');
    const stream = await logs({ follow: true, limitBytes: 8 });
    expect(await text(stream)).to.equal('12345\n67');
    await until('the end of the request', () => stage.kubelet.open.logs === 0);
  });

  it('keep no more than what waits to be read of what was cut off by the limit', async () => {
    print('x'.repeat(60_000));
    const stream = await logs({ follow: true, limitBytes: 8 });
    const [given] = (await once(stream, 'data')) as [Buffer];
    expect(given).to.have.length(8);
    expect(given.buffer.byteLength).to.be.at.most(Buffer.poolSize);
  });

  for (const follow of [true, false]) {
    it(`end with the signal's reason, whether or not they have begun (follow: ${follow})`, async () => {
      const reason = new Error('enough');
      expect(await rejection(logs({ follow, signal: AbortSignal.abort(reason) }))).to.equal(reason);
      expect(stage.ssh.totalChannels).to.equal(0);

      const soon = new AbortController();
      const asking = rejection(logs({ follow: true, signal: soon.signal }));
      await until('the request', () => stage.kubelet.open.logs === 1);
      soon.abort(reason);
      expect(await asking).to.equal(reason);

      print('one');
      const later = new AbortController();
      const stream = await logs({ follow: true, signal: later.signal });
      const outcome = outcomeOf(stream);
      later.abort(reason);
      expect((await outcome).error).to.equal(reason);
      await until('the end of the requests', () => stage.kubelet.open.logs === 0);
    });
  }

  it('that are cut fail, and tell the last line and how many lines of its time were given', async () => {
    const time = '2026-01-31T12:00:00.123456789Z';
    log.print('one', { time: '2026-01-31T12:00:00Z' });
    log.print('two', { time });
    log.print('three', { time });
    const stream = await logs({ follow: true });
    const outcome = outcomeOf(stream);
    await until('the log', () => stream.readableFlowing === true);
    await once(stream, 'data');
    stage.ssh.cut('rst');
    const { text: given, error } = await outcome;
    expect(given).to.equal('one\ntwo\nthree\n');
    expect(error).to.be.instanceOf(LogCutError);
    expect(error).to.include({
      code: 'ERR_KUBELET_LOG_CUT',
      lastTime: time,
      linesAtLastTime: 2,
      node: 'node-1',
    });
    expect((error as LogCutError).cause).to.be.instanceOf(TransportError);
    expect((error as LogCutError).message).to.include(time);
    const rest = await logs({ sinceTime: (error as LogCutError).lastTime });
    expect(await text(rest)).to.equal('two\nthree\n');
  });

  it('that are cut do not look complete when they are not followed either', async () => {
    print(...Array.from({ length: 2000 }, () => 'x'.repeat(10_000)));
    const stream = await logs();
    await read(stream, 1);
    stage.ssh.cut('fin');
    const { error } = await outcomeOf(stream);
    expect(error).to.be.instanceOf(LogCutError).and.include({ lastTime: undefined, linesAtLastTime: 0 });
  });

  it('that resume are given up when the kubelet stays away too long', async () => {
    print('one');
    const stream = await logs({ follow: { ...resume, giveUpMs: 20 } });
    await read(stream, 4);
    stage.ssh.faults.refuse({ reason: 2 });
    stage.ssh.cut('rst');
    const { error } = await outcomeOf(stream);
    expect(error).to.be.instanceOf(LogCutError);
    expect((error as LogCutError).lastTime).to.be.a('string');
    expect((error as LogCutError).cause).to.include({ code: 'ECONNREFUSED' });
  });

  it('that resume are given up at once when the dialer is closed', async () => {
    print('one');
    const stream = await logs({ follow: resume });
    await read(stream, 4);
    stage.through.destroy();
    const { error } = await outcomeOf(stream);
    expect((error as LogCutError).cause).to.be.instanceOf(ClosedError);
  });

  it('that resume end when the container has ended meanwhile', async () => {
    print('one');
    const stream = await logs({ follow: resume });
    await read(stream, 4);
    const outcome = outcomeOf(stream);
    stage.ssh.cut('rst');
    print('two');
    log.end();
    expect(await outcome).to.deep.equal({ text: 'two\n', error: undefined });
  });

  it('that resume do not miss what is printed after a tail of nothing', async () => {
    const stream = await logs({ follow: resume, tailLines: 0 });
    stage.ssh.cut('rst');
    print('one');
    expect((await read(stream, 4)).toString()).to.equal('one\n');
    stream.destroy();
  });

  for (const timestamps of [false, true]) {
    it(`that resume are given whole, line for line, however often they are cut (timestamps: ${timestamps})`, async () => {
      const random = seededRandom(timestamps ? 11 : 12);
      const expected: string[] = [];
      let nanoseconds = 0;
      const write = (): void => {
        // Several lines have one time, and some come late.
        nanoseconds += below(3, random) * 1000;
        const late = below(5, random) === 0 ? 500 : 0;
        const time = `2026-01-31T12:00:00.${String(1_000_000 + nanoseconds - late).padStart(9, '0')}Z`;
        const size = below(50, random) === 0 ? 100_000 : below(300, random);
        const line = `${expected.length} ${'x'.repeat(size)}`;
        expected.push(timestamps ? `${time} ${line}\n` : `${line}\n`);
        log.print(line, { time });
      };
      write();
      const stream = await logs({ follow: resume, timestamps });
      let [given, nextCut, cuts] = ['', 0, 0];
      stream.setEncoding('utf8').on('data', (part: string) => {
        given += part;
        if (given.length < nextCut || cuts === 60) return;
        cuts += 1;
        nextCut = given.length + below(60_000, random);
        stage.ssh.cut(below(2, random) === 0 ? 'fin' : 'rst');
      });
      const ended = once(stream, 'end');
      for (let count = 0; count < 1500; count += 1) {
        write();
        if (below(20, random) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      log.end();
      await ended;
      expect(cuts).to.be.above(20);
      expect(given === expected.join('')).to.equal(true);
    }).timeout(60_000);
  }

  it('hold the kubelet back while nobody reads', async () => {
    const line = 'x'.repeat(100_000);
    for (let count = 0; count < 100; count += 1) print(line);
    const stream = await logs({ follow: true });
    const received = (): number => stage.through.status().nodes[0]?.bytes.received ?? 0;
    // It has stopped for good when nothing comes for as long as many turns take.
    for (let before = -1; before !== received();) {
      before = received();
      await turns(500);
    }
    expect(received()).to.be.below(5_000_000);
    let bytes = 0;
    stream.on('data', (part: Buffer) => (bytes += part.length));
    log.end();
    await once(stream, 'end');
    expect(bytes).to.equal(100 * (line.length + 1));
  });

  it('may share a signal with many others, of which none is left behind, without a warning', async () => {
    print('one');
    const stop = new AbortController();
    const warnings = await warningsDuring(async () => {
      const streams = await Promise.all(
        Array.from({ length: 30 }, () => logs({ follow: true, signal: stop.signal })),
      );
      const ends = streams.map((stream) => rejection(text(stream)));
      stop.abort(new Error('enough'));
      for (const end of ends) expect(await end).to.equal(stop.signal.reason);
    });
    expect(warnings).to.deep.equal([]);
    expect(getEventListeners(stop.signal, 'abort')).to.have.length(0);
  });

  it('leave nothing behind when they are given up before they have begun', async () => {
    await kubelet.healthz();
    await expectNoLeaks(async () => {
      const reason = new Error('enough');
      const stop = new AbortController();
      const asking = rejection(logs({ follow: resume, signal: stop.signal }));
      await until('the request', () => stage.kubelet.open.logs === 1);
      stop.abort(reason);
      expect(await asking).to.equal(reason);
      await kubelet.close();
      await until('the end of the channels', () => stage.ssh.channels === 0);
    });
  });

  it('leave nothing behind, however they end', async () => {
    print('one');
    const warm = await logs();
    await text(warm);
    await expectNoLeaks(async () => {
      for (let count = 0; count < 20; count += 1) {
        const stream = await logs({ follow: count % 2 === 0 ? true : resume });
        await read(stream, 4);
        stream.destroy();
        await once(stream, 'close');
      }
      await until('the end of the requests', () => stage.kubelet.open.logs === 0);
      await kubelet.close();
      await until('the end of the channels', () => stage.ssh.channels === 0);
    });
  });
});
