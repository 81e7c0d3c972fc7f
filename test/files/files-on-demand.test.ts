import { expect } from 'chai';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sinon, { type SinonFakeTimers } from 'sinon';
import { FilesOnDemand } from '../../lib/files/files-on-demand.js';

const INTERVAL_MS = 1000;

describe('FilesOnDemand', () => {
  let clock: SinonFakeTimers;
  let directory: string;
  let path: string;
  let changes: number;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'files-on-demand-'));
    path = join(directory, 'file');
    writeFileSync(path, 'first');
    changes = 0;
    clock = sinon.useFakeTimers({ now: Date.now() - 500, toFake: ['Date', 'performance'] });
  });

  afterEach(async () => {
    clock.restore();
    await rm(directory, { recursive: true });
  });

  const create = (read: () => string): FilesOnDemand<string> =>
    new FilesOnDemand({ paths: [path], read, intervalMs: INTERVAL_MS, onChange: () => (changes += 1) });

  /** Two looks at what is still by then. */
  const look = (files: FilesOnDemand<string>): string => {
    clock.tick(INTERVAL_MS);
    expect(files.content).to.be.a('string');
    clock.tick(INTERVAL_MS);
    return files.content;
  };

  it('does not take what is changed while it is being read', () => {
    let disturb = (): void => undefined;
    const files = create(() => {
      const text = readFileSync(path, 'utf8');
      disturb();
      return text;
    });
    writeFileSync(path, 'half');
    disturb = () => {
      disturb = () => undefined;
      appendFileSync(path, ' and half');
    };
    look(files);
    expect(changes).to.equal(0);
    expect(look(files)).to.equal('half and half');
    expect(changes).to.equal(1);
  });

  it('has been failing since the first of several failures in a row', () => {
    const files = create(() => {
      const text = readFileSync(path, 'utf8');
      if (text.startsWith('bad')) throw new Error(text);
      return text;
    });
    writeFileSync(path, 'bad');
    look(files);
    const since = files.state.failure?.since;
    expect(since).to.be.an.instanceOf(Date);
    writeFileSync(path, 'bad again');
    expect(look(files)).to.equal('first');
    expect(files.state.failure).to.deep.equal({ message: 'bad again', since });
    expect(changes).to.equal(2);
  });
});
