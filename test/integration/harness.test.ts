import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { describeFor, type Feature } from '../support/applicability.js';
import { dropbear, startDropbear } from '../support/dropbear.js';
import { startEcho, type Endpoint } from '../support/endpoints.js';
import { isAlive, processTable, waitUntil, type ProcessInfo } from '../support/processes.js';
import { connectRaw, exchange } from '../support/raw-client.js';
import { generateKeyPair } from '../support/ssh-keys.js';
import type { Sshd } from '../support/sshd.js';
import { acquireTarget, targetKind } from '../support/target.js';
import { startTinysshd, tinysshd } from '../support/tinysshd.js';

const ownSshd: Feature = { name: 'an sshd of our own', present: targetKind === 'own' };

/** What a dial is refused with. */
async function refusal(dial: Promise<unknown>): Promise<{ reason?: number; message: string }> {
  try {
    await dial;
  } catch (error) {
    return error as { reason?: number; message: string };
  }
  throw new Error('the dial was not refused');
}

describe('the harness: a target', () => {
  let target: Sshd;
  let echo: Endpoint;

  before(async () => {
    target = await acquireTarget();
    echo = await startEcho(target);
  });

  after(async () => {
    await echo.close();
    await target.close();
  });

  it('forwards to an endpoint of the test', async () => {
    await using client = await connectRaw(target);
    expect(await exchange(await client.dial(echo.host, echo.port), 'hello')).to.equal('hello');
  });

  it('names in knownHosts the key that it presents', () => {
    expect(target.hostKeys).to.not.be.empty;
    expect(target.knownHosts).to.include(target.hostKeys[0]);
  });

  it('does not know another key', async () => {
    const { privateKey } = generateKeyPair();
    const stranger = { ...access(target), privateKey };
    expect((await refusal(connectRaw(stranger))).message).to.match(/authentication methods failed/);
  });
});

function access({ address, port, username, privateKey, hostKeys, knownHosts }: Sshd) {
  return { address, port, username, privateKey, hostKeys, knownHosts };
}

describeFor(['processes', 'restart', 'log'], 'the harness: control over sshd', () => {
  let sshd: Sshd;
  let echo: Endpoint;

  before(async () => {
    sshd = await acquireTarget();
    echo = await startEcho(sshd);
  });

  after(async () => {
    await echo.close();
    await sshd.close();
  });

  it('counts its connections', async () => {
    expect(await sshd.connectionCount()).to.equal(0);
    const clients = [await connectRaw(sshd), await connectRaw(sshd)];
    expect(await sshd.connectionCount()).to.equal(2);
    expect(await sshd.connectionPids()).to.have.length.of.at.least(2);
    await Promise.all(clients.map((client) => client.close()));
    await waitUntil('the end of the connections', async () => (await sshd.connectionCount()) === 0);
  });

  it('kills connections and leaves the server alive', async () => {
    const client = await connectRaw(sshd);
    await sshd.killConnections();
    await client.closed;
    expect(await sshd.connectionPids()).to.deep.equal([]);
    await (await connectRaw(sshd)).close();
  });

  it('stops everything until it is told to go on', async () => {
    await using client = await connectRaw(sshd);
    const channel = await client.dial(echo.host, echo.port);
    await sshd.stopAll();
    const events: string[] = [];
    const banner = connect(sshd.port, sshd.address);
    await once(banner, 'connect');
    const answers = [once(banner, 'data'), once(channel, 'data')].map((answer) =>
      answer.then(() => events.push('answer')),
    );
    channel.write('x');
    // Time enough for an answer, if anybody were there to give it.
    for (let round = 0; round < 200; round++) {
      const direct = connect(echo.port, echo.host);
      direct.end('x');
      await finished(direct.resume());
    }
    events.push('continued');
    await sshd.contAll();
    await Promise.all(answers);
    expect(events).to.deep.equal(['continued', 'answer', 'answer']);
    banner.destroy();
  });

  it('refuses connections while it is stopped, and comes back on its port with its key', async () => {
    const { port, knownHosts } = sshd;
    const client = await connectRaw(sshd);
    await sshd.stop();
    await client.closed;
    expect((await refusal(connectRaw(sshd))).message).to.match(/ECONNREFUSED/);
    await sshd.restart();
    expect(sshd).to.include({ port, knownHosts });
    await (await connectRaw(sshd)).close();
  });

  it('takes new host keys and new configuration at a restart', async () => {
    const before = access(sshd);
    await sshd.restart({ newHostKeys: true, config: ['AllowTcpForwarding no'] });
    expect((await refusal(connectRaw(before))).message).to.match(/verification failed/);
    await using client = await connectRaw(sshd);
    expect(await refusal(client.dial(echo.host, echo.port))).to.have.property('reason', 1);
  });

  it('lets log lines be waited for, those of the future too', async () => {
    const since = sshd.log.length;
    const line = sshd.waitForLog(/Accepted publickey for (\S+)/, { since });
    await (await connectRaw(sshd)).close();
    expect((await line)[1]).to.equal(sshd.username);
    expect((await refusal(sshd.waitForLog(/no such line/, { timeoutMs: 1 }))).message).to.match(
      /no log line like/,
    );
  });
});

describeFor('configure', 'the harness: options of sshd', () => {
  async function withSshd(options: Parameters<typeof acquireTarget>[0], use: (sshd: Sshd) => Promise<void>) {
    await using sshd = await acquireTarget(options);
    await use(sshd);
  }

  it('restricts what the key may do', () =>
    withSshd({ keyOptions: 'restrict,port-forwarding,permitopen="127.0.0.1:1"' }, async (sshd) => {
      await using echo = await startEcho(sshd);
      await using client = await connectRaw(sshd);
      expect(await refusal(client.dial(echo.host, echo.port))).to.have.property('reason', 1);
      expect(await refusal(client.dial('127.0.0.1', 1))).to.have.property('reason', 2);
    }));

  it('listens on another loopback address', () =>
    withSshd({ listenAddress: '127.0.0.9' }, async (sshd) => {
      expect(sshd.address).to.equal('127.0.0.9');
      await (await connectRaw(sshd)).close();
    }));

  it('has host keys of every type asked for', () =>
    withSshd({ hostKeyTypes: ['ed25519', 'ecdsa', 'rsa'] }, async (sshd) => {
      expect(sshd.hostKeys).to.have.length(3);
      for (const type of ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512']) {
        await (await connectRaw(sshd, type)).close();
      }
    }));

  it('runs out of files where it is told to', () =>
    withSshd({ maxOpenFiles: 40 }, async (sshd) => {
      await using echo = await startEcho(sshd);
      await using client = await connectRaw(sshd);
      const dials = Array.from({ length: 60 }, () => client.dial(echo.host, echo.port));
      const results = await Promise.allSettled(dials);
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length.within(5, 39);
    }));

  it('puts the lines of the test above its own, MaxStartups included, of which sshd takes the last', () =>
    withSshd({ config: ['MaxStartups 1:100:1'] }, async (sshd) => {
      const first = connect(sshd.port, sshd.address);
      await once(first, 'data');
      const second = connect(sshd.port, sshd.address);
      second.on('error', () => undefined);
      let greeting = '';
      second.on('data', (data: Buffer) => (greeting += data.toString()));
      await once(second, 'close');
      expect(greeting).to.not.match(/^SSH-/);
      first.destroy();
    }));

  it('says what sshd says of a line it does not understand', async () => {
    expect((await refusal(acquireTarget({ config: ['NoSuchKeyword 1'] }))).message).to.match(
      /sshd did not start:[^]*NoSuchKeyword/,
    );
  });
});

describeFor(ownSshd, 'the harness: its end', () => {
  const child = fileURLToPath(new URL('harness.child.ts', import.meta.url));

  let testProcess: ChildProcess | undefined;

  afterEach(() => void testProcess?.kill());

  for (const end of ['exit', 'throw', 'SIGTERM'] as const) {
    it(`leaves no process and no file when the test process ends by ${end}`, async () => {
      const started = spawn(process.execPath, ['--import', 'tsx', child, end], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      testProcess = started;
      const ended = once(started, 'close');
      const [line] = (await once(started.stdout, 'data')) as [Buffer];
      const { processes, directory } = JSON.parse(line.toString()) as {
        processes: ProcessInfo[];
        directory: string;
      };
      expect(processes).to.not.be.empty;
      if (end === 'SIGTERM') started.kill(end);
      await ended;
      await waitUntil(
        'the end of sshd',
        () => !processes.some((process) => isAlive(processTable(), process)),
      );
      expect(existsSync(directory)).to.be.false;
    });
  }

  it('leaves no process when it is closed', async () => {
    const sshd = await acquireTarget();
    await connectRaw(sshd);
    const pids = await sshd.connectionPids();
    const running = processTable().filter(({ pid }) => pids.includes(pid));
    expect(running).to.not.be.empty;
    await sshd.close();
    expect(running.filter((process) => isAlive(processTable(), process))).to.deep.equal([]);
  });
});

describeFor(dropbear, 'the harness: dropbear', () => {
  it('forwards', async () => {
    await using server = await startDropbear();
    await using echo = await startEcho(server);
    await using client = await connectRaw(server);
    expect(await exchange(await client.dial(echo.host, echo.port), 'hello')).to.equal('hello');
  });
});

describeFor(tinysshd, 'the harness: tinysshd', () => {
  it('lets in and forwards nothing', async () => {
    await using server = await startTinysshd();
    await using client = await connectRaw(server);
    expect(await refusal(client.dial('127.0.0.1', 1))).to.have.property('reason', 1);
  });
});
