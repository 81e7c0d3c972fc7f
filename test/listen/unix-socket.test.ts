import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  unlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import net, { createServer } from 'node:net';
import { join } from 'node:path';
import { InvalidOptionError } from '../../lib/index.js';
import { listen } from '../../lib/listen/index.js';
import { Stage } from '../http/stage.js';
import { rejection, roundTrip } from '../support/dialer.js';
import { connect, folder, use } from './clients.js';

describe('listen: a UNIX socket', () => {
  let stage: Stage;
  let directory: string;
  let path: string;
  let port: number;
  beforeEach(async () => {
    stage = await Stage.start();
    directory = folder(stage);
    path = join(directory, 'socket');
    ({ port } = await stage.endpoint());
  });
  afterEach(() => stage.end());

  const opening = (at = path) => listen(stage.recorder, { host: '127.0.0.1', port, at: { path: at } });

  /** A socket file that its process has left behind. */
  function leaveStale(): void {
    const program = 'net.createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
    expect(() => execFileSync(process.execPath, ['-e', program, path], { stdio: 'ignore' })).to.throw();
    expect(lstatSync(path).isSocket()).to.equal(true);
  }

  it('has mode 0600, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const listener = await use(stage, opening());
      expect(lstatSync(path).mode & 0o777).to.equal(0o600);
      expect(listener.address).to.deep.equal({ path });
      expect(listener.url).to.equal(undefined);
    } finally {
      process.umask(umask);
    }
  });

  it('is nowhere to be found with another mode, not even for a moment', async () => {
    const umask = process.umask(0);
    const seen: { name: string; mode: number }[] = [];
    const watcher = watch(directory, (_event, name) => {
      const found = lstatSync(join(directory, name ?? ''), { throwIfNoEntry: false });
      if (found !== undefined) seen.push({ name: name ?? '', mode: found.mode & 0o777 });
    });
    try {
      await use(stage, opening());
      writeFileSync(join(directory, 'last'), '', { mode: 0o600 });
      while (!seen.some(({ name }) => name === 'last')) await once(watcher, 'change');
      expect(seen.map(({ mode }) => mode & 0o077)).to.deep.equal(seen.map(() => 0));
      expect(seen.some(({ name }) => name === 'socket')).to.equal(true);
    } finally {
      watcher.close();
      process.umask(umask);
    }
  });

  it('leaves nothing beside it, and nothing at all when it is closed', async () => {
    const listener = await use(stage, opening());
    expect(readdirSync(directory)).to.deep.equal(['socket']);
    await listener.close();
    expect(readdirSync(directory)).to.deep.equal([]);
  });

  it('replaces a stale one', async () => {
    leaveStale();
    const listener = await use(stage, opening());
    await roundTrip(connect(stage, listener));
  });

  it('does not replace one on which somebody listens, which goes on serving', async () => {
    const first = await use(stage, opening());
    expect(await rejection(opening())).to.include({ code: 'EADDRINUSE', syscall: 'listen' });
    await roundTrip(connect(stage, first));
    expect(readdirSync(directory)).to.deep.equal(['socket']);
  });

  it('does not replace one of which cannot be told whether somebody listens', async () => {
    const program =
      'net.createServer().listen({ path: process.argv[1], backlog: 1 }, () => console.log("up"))';
    const busy = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    stage.onEnd(async () => {
      const exited = once(busy, 'exit');
      busy.kill('SIGKILL');
      await exited;
    });
    await once(busy.stdout, 'data');
    busy.kill('SIGSTOP');
    // It accepts no more, and sooner or later the kernel does not, either.
    const knock = (): Promise<string | undefined> =>
      new Promise((resolve) => {
        const client = net.connect(path);
        stage.onEnd(() => client.destroy());
        client.once('connect', () => resolve('let in'));
        client.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      });
    let answer = await knock();
    while (answer === 'let in') answer = await knock();
    expect(answer).to.equal('EAGAIN');
    const error = await rejection(opening());
    expect(error).to.include({ code: 'EADDRINUSE' });
    expect(error.message).to.include('EAGAIN');
    expect(lstatSync(path).isSocket()).to.equal(true);
  });

  const others: Record<string, () => void> = {
    'a file': () => writeFileSync(path, 'precious'),
    'a folder': () => mkdirSync(path),
    'a link': () => symlinkSync(join(directory, 'nowhere'), path),
  };
  for (const [what, make] of Object.entries(others)) {
    it(`does not replace ${what}`, async () => {
      make();
      const before = lstatSync(path);
      const error = await rejection<InvalidOptionError>(opening());
      expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', 'at.path');
      expect(lstatSync(path).ino).to.equal(before.ino);
      expect(readdirSync(directory)).to.deep.equal(['socket']);
    });
  }

  it('is not removed when somebody else has taken its name', async () => {
    const listener = await use(stage, opening());
    unlinkSync(path);
    const other = createServer().listen(path);
    await once(other, 'listening');
    await listener.close();
    expect(existsSync(path)).to.equal(true);
    await new Promise((resolve) => other.close(resolve));
  });

  it('that two processes want at once is given to one of them', async () => {
    leaveStale();
    const outcomes = await Promise.allSettled([use(stage, opening()), use(stage, opening())]);
    const won = outcomes.filter(({ status }) => status === 'fulfilled');
    expect(won).to.have.length(1);
    expect(readdirSync(directory)).to.deep.equal(['socket']);
  });

  it('in a folder that does not exist says so', async () => {
    const error = await rejection<InvalidOptionError>(opening(join(directory, 'no', 'socket')));
    expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', 'at.path');
    expect(error.message).to.include('make it first');
  });

  it('with a path that is too long says how long it may be', async () => {
    const error = await rejection<InvalidOptionError>(opening(join(directory, 'x'.repeat(100))));
    expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', 'at.path');
    expect(error.message).to.include('107 bytes');
  });
});
