import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const mocha = fileURLToPath(new URL('../../node_modules/mocha/bin/mocha.js', import.meta.url));

/** Runs mocha, as it is configured here, on a file of tests. */
function runMocha(
  source: string,
  environment: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  // Inside the project, so that its packages and its kind of modules are found.
  const directory = mkdtempSync(fileURLToPath(new URL('run-', import.meta.url)));
  const file = join(directory, 'some.test.ts');
  writeFileSync(file, source);
  const env = { ...process.env, TUNNEL_TEST_EXIT_DEADLINE_MS: '1000', ...environment };
  return new Promise((resolve) => {
    execFile(process.execPath, [mocha, file], { env }, (error, stdout, stderr) => {
      rmSync(directory, { recursive: true });
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

describe('a run of the suite', () => {
  it('passes when its tests do, and ends by itself', async () => {
    const { code, output } = await runMocha(`it('works', () => undefined);`);
    expect(output).to.match(/1 passing \(\S+\)\s*$/);
    expect(code).to.equal(0);
  });

  it('fails when a socket keeps the process alive, and says which', async () => {
    const { code, output } = await runMocha(`
      import { createServer } from 'node:net';
      it('works', (done) => { createServer().listen(0, '127.0.0.1', done); });
    `);
    expect(output).to.match(/1 passing[^]*tests left something open[^]*Server address=127\.0\.0\.1/);
    expect(code).to.equal(1);
  });

  it('names the line that made the handle, when asked to', async () => {
    const { output } = await runMocha(`it('works', () => { setInterval(() => undefined, 1000); });`, {
      TUNNEL_TEST_TRACE_HANDLES: '1',
    });
    expect(output).to.match(/Timeout\n.*some\.test\.ts:1/);
  });

  it('fails when a rejection is handled by nobody, during a test or after the last one', async () => {
    const during = await runMocha(`
      it('works', async () => {
        void Promise.reject(new Error('lost'));
        await new Promise((resolve) => setImmediate(resolve));
      });
    `);
    expect(during.output).to.match(/0 passing[^]*failing[^]*lost/);
    expect(during.code).to.not.equal(0);
    const after = await runMocha(`
      it('works', () => { setTimeout(() => void Promise.reject(new Error('late')), 50); });
    `);
    expect(after.output).to.match(/1 passing[^]*late/);
    expect(after.code).to.not.equal(0);
  });

  it('fails when a test is skipped', async () => {
    const { code, output } = await runMocha(`it('is for later'); it('works', () => undefined);`);
    expect(output).to.match(/Pending test forbidden/);
    expect(code).to.equal(1);
  });

  it('counts, and does not run, tests whose requirements are not met', async () => {
    const { code, output } = await runMocha(`
      import { describeFor } from '../applicability.js';
      describeFor({ name: 'the moon', present: false }, 'there', () => {
        it('fails', () => { throw new Error('run all the same'); });
        describe('inside', () => { it('fails, too', () => { throw new Error('run all the same'); }); });
      });
      describeFor({ name: 'the earth', present: true }, 'here', () => { it('works', () => undefined); });
    `);
    expect(output).to.match(
      /1 passing[^]*not applicable on this target \(\w+ sshd\): 2 \(without the moon 2\)/,
    );
    expect(output).to.not.match(/run all the same/);
    expect(code).to.equal(0);
  });

  it('works with and without the native addon of ssh2, as asked', async () => {
    const source = `
      import { createRequire } from 'node:module';
      const { bindingAvailable } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js');
      it('works', () => { throw new Error('addon: ' + bindingAvailable); });
    `;
    expect((await runMocha(source, { TUNNEL_TEST_NATIVE_ADDON: 'off' })).output).to.include('addon: false');
    expect((await runMocha(source, { TUNNEL_TEST_NATIVE_ADDON: 'on' })).output).to.match(
      /addon: true|is not built/,
    );
    expect((await runMocha(source, { TUNNEL_TEST_NATIVE_ADDON: 'x' })).output).to.include('use on or off');
  });
});
