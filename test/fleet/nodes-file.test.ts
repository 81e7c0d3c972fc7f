import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { InvalidOptionError } from '../../lib/errors.js';
import type { NodeSpec } from '../../lib/fleet/node.js';
import type { NodeUpdate } from '../../lib/fleet/node-source.js';
import { nodesFile } from '../../lib/fleet/nodes-file.js';
import { fileVersions, followFiles } from '../../lib/files/follow-files.js';
import { turn } from '../support/dialer.js';

const yaml = (...names: string[]): string =>
  `nodes:\n${names.map((name) => `  - name: ${name}\n    address: 10.0.0.1\n`).join('')}`;

describe('nodesFile', () => {
  let directory: string;
  let path: string;
  let stop: AbortController;
  let updates: AsyncIterator<NodeUpdate>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nodes-file-'));
    path = join(directory, 'nodes.yaml');
    stop = new AbortController();
  });

  afterEach(async () => {
    stop.abort();
    await rm(directory, { recursive: true });
  });

  const follow = (intervalMs = 5) =>
    (updates = nodesFile(path, { intervalMs }).follow(stop.signal)[Symbol.asyncIterator]());

  /** The names of the next list, or the message of the next error. */
  async function next(): Promise<string> {
    const { value } = (await updates.next()) as { value: NodeSpec[] | Error };
    return value instanceof Error ? value.message : value.map(({ name }) => name).join();
  }

  it('reads YAML and JSON, as a list or with the list as `nodes`', async () => {
    const contents = [
      yaml('a', 'b'),
      '- { name: a, address: 10.0.0.1 }\n- { name: b, address: 10.0.0.2 }\n',
      '[{"name":"a","address":"10.0.0.1"},{"name":"b","address":"10.0.0.2"}]',
      '{"nodes":[{"name":"a","address":"10.0.0.1"},{"name":"b","address":"10.0.0.2"}]}',
    ];
    for (const content of contents) {
      await writeFile(path, content);
      follow();
      expect(await next(), content).to.equal('a,b');
    }
  });

  it('reads merge keys, as Kubernetes does', async () => {
    await writeFile(
      path,
      'defaults: &defaults { port: 2222, username: tunnel }\n' +
        'nodes:\n  - { name: a, address: 10.0.0.1, <<: *defaults }\n' +
        '  - { <<: *defaults, name: b, address: 10.0.0.2, port: 22 }\n',
    );
    follow();
    const { value } = (await updates.next()) as { value: NodeUpdate };
    expect(value).to.deep.equal([
      { name: 'a', address: '10.0.0.1', port: 2222, username: 'tunnel' },
      { name: 'b', address: '10.0.0.2', port: 22, username: 'tunnel' },
    ]);
  });

  it('follows a file that is edited in place, replaced by rename, or behind a link that is turned', async () => {
    await writeFile(join(directory, 'one'), yaml('a'));
    await writeFile(join(directory, 'two'), yaml('b'));
    await symlink('one', path);
    follow();
    expect(await next()).to.equal('a');
    await symlink('two', join(directory, 'link'));
    await rename(join(directory, 'link'), path);
    expect(await next()).to.equal('b');
    await writeFile(path, yaml('c'));
    expect(await next()).to.equal('c');
    await writeFile(join(directory, 'new'), yaml('d'));
    await rename(join(directory, 'new'), path);
    expect(await next()).to.equal('d');
  });

  it('says that the file is missing, and goes on when it is back, with the same content or another', async () => {
    follow();
    expect(await next())
      .to.include('ENOENT')
      .and.include(path);
    await writeFile(path, yaml('a'));
    expect(await next()).to.equal('a');
    await unlink(path);
    expect(await next()).to.include('ENOENT');
    await writeFile(path, yaml('a'));
    expect(await next()).to.equal('a');
  });

  for (const [what, content, message] of [
    ['half of a list', '[{"name":"a","addr', 'cannot read the nodes'],
    ['nothing', '', 'it is empty'],
    ['nothing but a comment', '# nodes\n', 'it is empty'],
    ['something else', 'nodes: none', 'holds neither a list'],
    ['a list within itself', 'nodes: &all\n  - name: a\n    addresses: *all\n', 'contains itself'],
    ['tabs where YAML has none', 'nodes:\n\t- name: a', 'cannot read the nodes'],
  ] as const) {
    it(`says what is wrong with a file that holds ${what}, and goes on when it is mended`, async () => {
      await writeFile(path, yaml('a'));
      follow();
      expect(await next()).to.equal('a');
      await writeFile(path, content);
      expect(await next()).to.include(message);
      await writeFile(path, yaml('b'));
      expect(await next()).to.equal('b');
    });
  }

  it('says in one line what no YAML is and where, and prints no warnings', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    await writeFile(path, 'nodes:\n\t- name: a\n');
    follow();
    expect(await next()).to.equal(
      `cannot read the nodes in ${path}: it is not YAML at line 2, column 1 (TAB_AS_INDENT)`,
    );
    await writeFile(path, `${yaml('a')}---\n${yaml('b')}`);
    expect(await next()).to.equal(
      `cannot read the nodes in ${path}: it holds several YAML documents, not one`,
    );
    await writeFile(path, '- !tagged { name: a, address: 10.0.0.1 }\n');
    expect(await next()).to.equal('a');
    await turn();
    process.off('warning', note);
    expect(warnings).to.deep.equal([]);
  });

  it('reads what an editor on Windows writes', async () => {
    await writeFile(path, `\ufeff${yaml('a', 'b').replaceAll('\n', '\r\n')}`);
    follow();
    expect(await next()).to.equal('a,b');
  });

  it('does not take a file for finished that is being written', async () => {
    await writeFile(path, yaml('a'));
    follow(500);
    expect(await next()).to.equal('a');
    const told = next();
    // A YAML list that ends early is a list all the same.
    for (let count = 1; count <= 20; count += 1) {
      const names = Array.from({ length: count }, (_, index) => `n${index}`);
      await writeFile(path, yaml(...names));
    }
    await writeFile(path, yaml('whole'));
    expect(await told).to.equal('whole');
  });

  it('tells nothing again that has not changed', async () => {
    await writeFile(path, yaml('a'));
    follow();
    expect(await next()).to.equal('a');
    const told = next();
    const { signal } = stop;
    const known = fileVersions([path]);
    await writeFile(path, `# a comment\n${yaml('a')}`);
    // One that looks ten times less often has seen it by then.
    const witness = followFiles({
      paths: [path],
      read: () => Promise.resolve(),
      intervalMs: 50,
      signal,
      known,
    });
    await witness.next();
    await writeFile(path, yaml('b'));
    expect(await told).to.equal('b');
  });

  it('does not wait for a FIFO or a device', async () => {
    execFileSync('mkfifo', [path]);
    follow();
    expect(await next()).to.include('not a regular file');
    await unlink(path);
    await writeFile(path, yaml('a'));
    expect(await next()).to.equal('a');
    await unlink(path);
    await symlink('/dev/zero', path);
    expect(await next()).to.include('not a regular file');
  });

  it('refuses a file that is too long for a list of nodes', async () => {
    await writeFile(path, '');
    await truncate(path, 17 * 2 ** 20);
    follow();
    expect(await next()).to.include('longer than 16777216 bytes');
  });

  it('says where it cannot be parsed, and quotes nothing of it', async () => {
    await writeFile(path, 'token: hunter2\nuser: [hunter2 \u001b[31m\n');
    follow();
    const { value } = (await updates.next()) as { value: Error };
    expect(value.message).to.match(/is not YAML at line \d+, column \d+ \(\w+\)$/);
    expect(inspect(value)).to.not.include('hunter2').and.not.include('\u001b');
  });

  it('ends with its signal', async () => {
    await writeFile(path, yaml('a'));
    follow();
    await next();
    const waiting = updates.next().catch((error: unknown) => error);
    stop.abort();
    expect(await waiting).to.have.property('name', 'AbortError');
  });

  it('refuses wrong arguments', () => {
    expect(() => nodesFile('')).to.throw(InvalidOptionError, /nodesFile\(\) path/);
    expect(() => nodesFile('x', { intervalMs: 0 })).to.throw(InvalidOptionError, /intervalMs/);
  });
});
