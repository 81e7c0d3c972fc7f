import createDebug from 'debug';
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import { describeFor, type Feature } from '../support/applicability.js';
import { rejection, roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { findProgram } from '../support/find-program.js';
import { generateKeyPair } from '../support/ssh-keys.js';
import { temporaryDirectory } from '../support/sshd-files.js';
import { Stage } from './stage.js';

const PASSPHRASE = 'correct horse battery staple';
const PAYLOAD = 'what goes through the tunnel';

const sshKeygen: Feature = { name: 'ssh-keygen', present: findProgram('ssh-keygen') !== undefined };

describeFor(sshKeygen, 'secrets', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('are in nothing that a dialer says of its work with a real sshd, in success and failure', async () => {
    const directory = temporaryDirectory();
    stage.onEnd(() => rmSync(directory, { recursive: true, force: true }));
    const sshd = await stage.sshd();
    const plain = sshd.privateKey;
    const path = join(directory, 'key');
    writeFileSync(path, plain, { mode: 0o600 });
    execFileSync('ssh-keygen', ['-p', '-q', '-a', '1', '-P', '', '-N', PASSPHRASE, '-f', path], {
      stdio: 'ignore',
    });
    const privateKey = readFileSync(path, 'utf8');
    const wrong = generateKeyPair('rsa').privateKey;

    const said: string[] = [];
    const { log } = createDebug;
    const namespaces = createDebug.disable();
    createDebug.log = (...args: unknown[]) => void said.push(format(...args));
    createDebug.enable('*');
    stage.onEnd(() => {
      createDebug.log = log;
      createDebug.disable();
      createDebug.enable(namespaces);
    });
    const say = (thing: unknown): void =>
      void said.push(inspect(thing, { depth: 20, showHidden: true }), JSON.stringify(thing), String(thing));

    const echo = await stage.use(startEcho(sshd));
    const dialer = stage.dialer(sshd, { ssh: { privateKey, passphrase: PASSPHRASE } });
    const socket = await stage.dial(dialer, echo);
    await roundTrip(socket, PAYLOAD);
    say(dialer);
    say(dialer.status());
    const stranger = stage.dialer(sshd, { ssh: { privateKey: wrong } });
    say(await rejection(stranger.dial(echo.host, echo.port)));
    say(stranger);
    say(stranger.status());
    const cut = new Promise((resolve) => socket.once('error', resolve));
    dialer.destroy(new Error('the end'));
    say(await cut);

    expect(said.join('\n')).to.include('tunnel-dialer:ssh'); // it has been listened to
    const linesOf = (pem: string): string[] => pem.split('\n').filter((line) => /^[\w+/=]{16,}$/.test(line));
    const secrets = [PASSPHRASE, PAYLOAD, ...[plain, privateKey, wrong].flatMap(linesOf)];
    for (const secret of secrets) expect(said.join('\n').includes(secret)).to.equal(false);
  });
});
