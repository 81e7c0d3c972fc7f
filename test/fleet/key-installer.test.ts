import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import type { InstallKeyNode, KeyForNode, KeyInstallStatus } from '../../lib/fleet/install-key.js';
import { KeyInstaller, type KeyReceiver } from '../../lib/fleet/key-installer.js';
import { normalizeNodes, type Node } from '../../lib/fleet/node.js';
import { turn, unhandledDuring } from '../support/dialer.js';

/** A call that the test settles. */
interface Call {
  readonly node: InstallKeyNode;
  readonly publicKey: string;
  readonly signal: AbortSignal;
  readonly succeed: () => void;
  readonly fail: (reason: unknown) => void;
}

/** A node, and how often it was told that it has our key. */
class FakeReceiver implements KeyReceiver {
  readonly node: Node;
  installed = 0;
  readonly pool = { keyInstalled: () => void (this.installed += 1) };

  constructor(name: string) {
    [this.node] = normalizeNodes([{ name, address: `${name}.example` }]).values() as Iterable<Node> as [Node];
  }
}

const INTERVAL_MS = 300_000;
const TIMEOUT_MS = 60_000;

describe('KeyInstaller', () => {
  let clock: SinonFakeTimers;
  let installer: KeyInstaller;
  let calls: Call[];
  let key: KeyForNode;
  /** What the next call does in place of waiting for the test. */
  let install: (() => unknown) | undefined;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ now: 1_000_000, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    sinon.stub(Math, 'random').returns(1);
    calls = [];
    install = undefined;
    key = { publicKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:a', username: 'tunnel' };
    installer = new KeyInstaller({
      intervalMs: INTERVAL_MS,
      keyFor: () => key,
      installKey: (node, publicKey, { signal }) => {
        const { promise, resolve: succeed, reject: fail } = settleable();
        calls.push({ node, publicKey, signal, succeed, fail });
        return install === undefined ? promise : (install() as Promise<void>);
      },
    });
  });

  afterEach(async () => {
    installer.stop();
    await turn();
    expect(clock.countTimers()).to.equal(0);
    sinon.restore();
    clock.restore();
  });

  async function start(...names: string[]): Promise<FakeReceiver[]> {
    const receivers = names.map((name) => new FakeReceiver(name));
    installer.update(receivers);
    await turn();
    return receivers;
  }

  const names = (): string[] => calls.map(({ node }) => node.name);
  const statusOf = (receiver: FakeReceiver | undefined): KeyInstallStatus => installer.statusOf(receiver!)!;

  /** Settles all calls there are. */
  async function settle(how: (call: Call) => void = ({ succeed }) => succeed()): Promise<void> {
    for (const call of calls) how(call);
    await turn();
  }

  async function pass(ms: number): Promise<void> {
    clock.tick(ms);
    await turn();
  }

  it('installs the key on every node as it is added, and says so', async () => {
    const [a, b] = await start('a', 'b');
    expect(names()).to.deep.equal(['a', 'b']);
    expect(calls[0]?.publicKey).to.equal('ssh-ed25519 AAAA');
    expect(statusOf(a)).to.deep.equal({ state: 'pending', fingerprint: 'SHA256:a', lagSince: new Date() });
    clock.tick(500);
    calls[0]?.succeed();
    await turn();
    const at = new Date();
    expect(statusOf(a)).to.deep.equal({
      state: 'installed',
      fingerprint: 'SHA256:a',
      lagSince: at,
      installed: { fingerprint: 'SHA256:a', at },
    });
    expect([a?.installed, b?.installed]).to.deep.equal([1, 0]);
    const c = new FakeReceiver('c');
    installer.update([a!, b!, c]);
    await turn();
    expect(names()).to.deep.equal(['a', 'b', 'c']);
  });

  it('tells the hook where and for whom, in an object that cannot be changed, and nothing else', async () => {
    await start('a');
    expect(calls[0]?.node).to.deep.equal({ name: 'a', address: 'a.example', port: 22, username: 'tunnel' });
    expect(calls[0]?.node).to.satisfy(Object.isFrozen);
  });

  it('calls the hook only when whoever added the node has done so', async () => {
    installer.update([new FakeReceiver('a')]);
    expect(calls).to.deep.equal([]);
    installer.stop();
    await turn();
    expect(calls).to.deep.equal([]);
  });

  it('calls it again in turn, spread evenly over the interval', async () => {
    const receivers = await start('a', 'b', 'c');
    const seen: string[][] = [];
    for (let turns = 0; turns < 4; turns += 1) {
      await settle();
      calls.length = 0;
      await pass(INTERVAL_MS / 3 - 1);
      expect(calls).to.deep.equal([]);
      await pass(1);
      seen.push(names());
    }
    expect(seen).to.deep.equal([['a'], ['b'], ['c'], ['a']]);
    await settle();
    expect(statusOf(receivers[0]).lagSince).to.deep.equal(new Date());
  });

  it('keeps the turns when nodes come and go all the time', async () => {
    const [a, b] = await start('a', 'b');
    await settle();
    calls.length = 0;
    for (let changes = 0; changes < 6; changes += 1) {
      await pass(INTERVAL_MS / 4);
      installer.update(changes % 2 === 0 ? [a!] : [a!, b!]);
      await settle();
    }
    expect(names().filter((name) => name === 'a')).to.have.length.within(1, 3);
  });

  it('has no more than 16 calls under way, and serves the others in their order', async () => {
    const all = Array.from({ length: 20 }, (_, index) => `node-${index}`);
    await start(...all);
    expect(names()).to.deep.equal(all.slice(0, 16));
    calls[7]?.fail(new Error('no'));
    await turn();
    expect(names()).to.deep.equal(all.slice(0, 17));
    await settle();
    expect(names()).to.deep.equal(all);
  });

  it('calls again after a failure, later each time, and says why', async () => {
    const [a] = await start('a');
    clock.tick(100);
    calls[0]?.fail(new Error('API: 503'));
    await turn();
    const since = new Date();
    expect(statusOf(a)).to.deep.equal({
      state: 'failing',
      fingerprint: 'SHA256:a',
      lagSince: new Date(1_000_000),
      failure: { message: 'API: 503', since },
    });
    await pass(1999);
    expect(calls).to.have.length(1);
    await pass(1);
    calls[1]?.fail(new Error('API: 504'));
    await turn();
    expect(statusOf(a).failure).to.deep.equal({ message: 'API: 504', since });
    await pass(3999);
    expect(calls).to.have.length(2);
    await pass(1);
    calls[2]?.succeed();
    await turn();
    expect(statusOf(a)).to.include({ state: 'installed' }).and.not.have.property('failure');
    expect(a?.installed).to.equal(1);
  });

  it('has no turn for a node while it waits after a failure', async () => {
    await start(...Array.from({ length: 10 }, (_, index) => `node-${index}`));
    const callsOfNode1 = (): Call[] => calls.filter(({ node }) => node.name === 'node-1');
    // Called after 0, 2, 6, 14 and 30 s, and next after 62 s; its turn is after 60 s.
    for (const waitMs of [0, 2000, 4000, 8000, 16_000]) {
      await pass(waitMs);
      callsOfNode1().at(-1)?.fail(new Error('no'));
      await turn();
    }
    await pass(31_999);
    expect(callsOfNode1()).to.have.length(5);
    await pass(1);
    expect(callsOfNode1()).to.have.length(6);
  });

  it('never waits longer than a minute', async () => {
    await start('a');
    for (let failures = 0; failures < 12; failures += 1) {
      calls.at(-1)?.fail(new Error('no'));
      await turn();
      await pass(60_000);
    }
    expect(calls).to.have.length(13);
  });

  it('never waits longer than the interval', async () => {
    let failed = 0;
    const impatient = new KeyInstaller({
      intervalMs: 3000,
      keyFor: () => key,
      installKey: () => {
        failed += 1;
        return Promise.reject(new Error('no'));
      },
    });
    impatient.update([new FakeReceiver('a')]);
    await turn();
    for (let failures = 1; failures < 8; failures += 1) {
      expect(failed).to.equal(failures);
      await pass(3000);
    }
    impatient.stop();
  });

  it('begins anew with short waits when a call has succeeded', async () => {
    await start('a');
    for (const waitMs of [2000, 4000]) {
      calls.at(-1)?.fail(new Error('no'));
      await turn();
      await pass(waitMs);
    }
    calls.at(-1)?.succeed();
    await turn();
    await pass(INTERVAL_MS);
    const before = calls.length;
    calls.at(-1)?.fail(new Error('no'));
    await turn();
    await pass(2000);
    expect(calls).to.have.length(before + 1);
  });

  it('says that a key is failing that was installed before', async () => {
    const [a] = await start('a');
    await settle();
    const at = new Date();
    await pass(INTERVAL_MS);
    calls[1]?.fail(new Error('no'));
    await turn();
    expect(statusOf(a)).to.deep.include({ state: 'failing', lagSince: at });
    expect(statusOf(a).installed).to.deep.equal({ fingerprint: 'SHA256:a', at });
    expect(a?.installed).to.equal(1);
  });

  const misbehaviours: [what: string, install: () => unknown, said: string | undefined][] = [
    [
      'throws',
      () => {
        throw new Error('thrown');
      },
      'thrown',
    ],
    ['rejects', () => Promise.reject(new Error('rejected')), 'rejected'],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
    ['rejects with nothing', () => Promise.reject(), 'failed with undefined'],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
    ['rejects with an object', () => Promise.reject({ a: 1 }), 'failed with an object'],
    ['rejects at length', () => Promise.reject(new Error('x'.repeat(9999))), `${'x'.repeat(500)}…`],
    ['rejects with terminal escapes', () => Promise.reject(new Error('\x1b]0;x\x07a\r\nb')), ']0;x a b'],
    [
      'rejects with an error that cannot be looked at',
      () => {
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        return Promise.reject({
          get message(): string {
            throw new Error('no');
          },
        });
      },
      'failed with an object',
    ],
    ['returns no promise', () => undefined, undefined],
    ['returns something else', () => 7, undefined],
  ];
  for (const [what, how, said] of misbehaviours) {
    it(`copes with a hook that ${what}`, async () => {
      install = how;
      const [a] = await start('a');
      expect(statusOf(a).state).to.equal(said === undefined ? 'installed' : 'failing');
      expect(statusOf(a).failure?.message).to.equal(said);
    });
  }

  it('gives a call up after a minute, and its place to the next', async () => {
    const all = Array.from({ length: 17 }, (_, index) => `node-${index}`);
    const receivers = await start(...all);
    await pass(TIMEOUT_MS - 1);
    expect(calls[0]?.signal.aborted).to.equal(false);
    expect(names()).to.not.include('node-16');
    await pass(1);
    expect(calls[0]?.signal.reason).to.include({ name: 'TimeoutError' });
    expect(statusOf(receivers[0]).failure?.message).to.match(/^installKey did not settle within 60000 ms/);
    expect(names()).to.include('node-16');
  });

  it('never has two calls for a node: one that does not settle keeps it from others', async () => {
    const [a] = await start('a');
    await pass(TIMEOUT_MS);
    await pass(INTERVAL_MS * 2);
    expect(calls).to.have.length(1);
    calls[0]?.fail(new Error('at last'));
    await turn();
    expect(calls).to.have.length(2);
    calls[1]?.succeed();
    await turn();
    expect(statusOf(a).state).to.equal('installed');
  });

  it('takes no notice of a success after the deadline: the hook may just have given up', async () => {
    const [a] = await start('a');
    await pass(TIMEOUT_MS);
    calls[0]?.succeed();
    await turn();
    expect(statusOf(a).state).to.equal('failing');
    expect(a?.installed).to.equal(0);
    await pass(2000);
    calls[1]?.succeed();
    await turn();
    expect(statusOf(a).state).to.equal('installed');
  });

  it('has no turn for a node while its call is under way', async () => {
    const all = Array.from({ length: 10 }, (_, index) => `node-${index}`);
    await start(...all);
    for (const { succeed } of calls.slice(1)) succeed();
    await pass(INTERVAL_MS / 10);
    calls[0]?.succeed();
    await turn();
    expect(names()).to.deep.equal(all);
  });

  describe('when the key becomes another', () => {
    const next = { publicKey: 'ssh-ed25519 BBBB', fingerprint: 'SHA256:b', username: 'tunnel' };

    it('installs it everywhere at once, and says which one is where', async () => {
      const receivers = await start('a', 'b');
      await settle();
      const at = new Date();
      clock.tick(1000);
      key = next;
      installer.renew();
      await turn();
      expect(calls.slice(2).map(({ publicKey }) => publicKey)).to.deep.equal(Array(2).fill(next.publicKey));
      expect(statusOf(receivers[0])).to.deep.equal({
        state: 'pending',
        fingerprint: 'SHA256:b',
        lagSince: new Date(),
        installed: { fingerprint: 'SHA256:a', at },
      });
      await settle();
      expect(statusOf(receivers[0])).to.deep.include({ state: 'installed', lagSince: new Date() });
    });

    it('gives up the call for the old one, and waits for its end', async () => {
      const [a] = await start('a');
      key = next;
      installer.renew();
      await turn();
      expect(calls[0]?.signal.reason).to.include({ name: 'AbortError' });
      expect(calls).to.have.length(1);
      calls[0]?.succeed();
      await turn();
      expect(a?.installed).to.equal(0);
      expect(calls[1]?.publicKey).to.equal(next.publicKey);
      calls[1]?.succeed();
      await turn();
      expect(statusOf(a)).to.include({ state: 'installed', fingerprint: 'SHA256:b' });
    });

    it('does not wait for the end of a row of failures', async () => {
      const [a] = await start('a');
      calls[0]?.fail(new Error('no'));
      await turn();
      key = next;
      installer.renew();
      await turn();
      expect(calls).to.have.length(2);
      expect(statusOf(a)).to.include({ state: 'pending' }).and.not.have.property('failure');
    });

    it('counts another user as another key', async () => {
      await start('a');
      await settle();
      key = { ...key, username: 'somebody' };
      installer.renew();
      await turn();
      expect(calls[1]?.node.username).to.equal('somebody');
    });

    it('does nothing when it is the same', async () => {
      const [a] = await start('a');
      await settle();
      key = { ...key };
      installer.renew();
      await turn();
      expect(calls).to.have.length(1);
      expect(statusOf(a).state).to.equal('installed');
    });
  });

  it('gives up the call for a node that goes, and forgets the node', async () => {
    const [a, b] = await start('a', 'b');
    calls[0]?.fail(new Error('no'));
    await turn();
    installer.update([]);
    expect(calls[1]?.signal.aborted).to.equal(true);
    expect(installer.statusOf(b!)).to.equal(undefined);
    expect(clock.countTimers()).to.equal(1); // the deadline of the call, until it has heard of its end
    await turn();
    expect(clock.countTimers()).to.equal(0);
    await settle();
    expect([a?.installed, b?.installed]).to.deep.equal([0, 0]);
  });

  it('waits for the call of a node that was replaced before it makes one for its successor', async () => {
    const [old] = await start('a');
    const successor = new FakeReceiver('a');
    installer.update([successor]);
    await turn();
    expect(calls).to.have.length(1);
    calls[0]?.fail(new Error('aborted'));
    await turn();
    expect(calls).to.have.length(2);
    await settle();
    expect([old?.installed, successor.installed]).to.deep.equal([0, 1]);
  });

  it('stops for good: calls are given up, no timer is left, what they come to does not matter', async () => {
    const [a, b] = await start('a', 'b');
    calls[0]?.succeed();
    await turn();
    expect(
      await unhandledDuring(async () => {
        installer.stop();
        installer.update([a!, b!, new FakeReceiver('c')]);
        installer.renew();
        await turn();
        expect(calls[1]?.signal.aborted).to.equal(true);
        expect(clock.countTimers()).to.equal(0);
        await settle(({ fail }) => fail(new Error('too late')));
      }),
    ).to.deep.equal([]);
    expect(names()).to.deep.equal(['a', 'b']);
    expect(statusOf(a).state).to.equal('installed');
    expect(statusOf(b).state).to.equal('pending');
  });

  it('tells plain data', async () => {
    const [a] = await start('a');
    await settle();
    await pass(INTERVAL_MS);
    calls[1]?.fail(new Error('no'));
    await turn();
    expect(structuredClone(statusOf(a))).to.deep.equal(statusOf(a));
  });
});

function settleable() {
  let resolve!: () => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<void>((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}
