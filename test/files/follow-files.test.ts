import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { followFiles } from '../../lib/files/follow-files.js';
import { rejection } from '../support/dialer.js';

describe('followFiles', () => {
  let directory: string;
  let path: string;
  let stop: AbortController;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'follow-files-'));
    path = join(directory, 'file');
    stop = new AbortController();
    await writeFile(path, '');
  });

  afterEach(async () => {
    stop.abort();
    await rm(directory, { recursive: true });
  });

  /** What is told of a file that stays as it is, when it reads like this, one time after the other. */
  async function told(outcomes: (string | Error)[], count: number): Promise<string[]> {
    const read = () => Promise.resolve(outcomes.length > 1 ? outcomes.shift()! : outcomes[0]!);
    const updates = followFiles({ paths: [path], read, intervalMs: 1, signal: stop.signal });
    const texts: string[] = [];
    while (texts.length < count) texts.push(String((await updates.next()).value));
    return texts;
  }

  const refused = (code: string): Error => {
    const cause = Object.assign(new Error(code), { errno: -24, code });
    return new Error(`cannot read: ${code}`, { cause });
  };

  it('tries again what the system did not let it read, and tells the same failure once', async () => {
    const outcomes = [refused('EMFILE'), refused('EMFILE'), refused('ENOMEM'), 'content'];
    expect(await told(outcomes, 3)).to.deep.equal([
      'Error: cannot read: EMFILE',
      'Error: cannot read: ENOMEM',
      'content',
    ]);
  });

  it('does not read again what cannot be used until it changes', async () => {
    let reads = 0;
    const read = () => Promise.resolve(new Error(`broken ${(reads += 1)}`));
    const updates = followFiles({ paths: [path], read, intervalMs: 1, signal: AbortSignal.timeout(200) });
    expect((await updates.next()).value).to.have.property('message', 'broken 1');
    expect(await rejection(updates.next())).to.include({ name: 'AbortError' });
    expect(reads).to.equal(1);
  });

  it('says so when a file is never still, and reads it when it is', async () => {
    const read = () => readFile(path, 'utf8');
    const updates = followFiles({ paths: [path], read, intervalMs: 20, signal: stop.signal });
    const writing = setInterval(() => writeFileSync(path, 'whole'), 3);
    try {
      expect(String((await updates.next()).value)).to.include(`${path}: written all the time`);
    } finally {
      clearInterval(writing);
    }
    expect((await updates.next()).value).to.equal('whole');
  });
});
