import { expect } from 'chai';
import { Duplex } from 'node:stream';
import sinon, { type SinonFakeTimers } from 'sinon';
import type { TunnelSocket } from '../../lib/dialer.js';
import { EndpointError } from '../../lib/errors.js';
import { normalizeNodes, type Node, type NodeSpec } from '../../lib/fleet/node.js';
import { checkProbe, type ProbeOptions } from '../../lib/fleet/probe.js';
import { Prober, type Probed, type ProbeStatus } from '../../lib/fleet/prober.js';
import type { DialAttempt } from '../../lib/pool/dial.js';
import { turn } from '../support/dialer.js';

/** A node whose probes the test answers. */
class FakeProbed implements Probed {
  readonly node: Node;
  readonly dials: {
    attempt: DialAttempt;
    open: (stream?: TunnelSocket) => void;
    fail: (error: Error) => void;
  }[] = [];
  readonly noted: ProbeStatus[] = [];
  up = true;

  constructor(name: string, changes: Partial<NodeSpec> = {}) {
    [this.node] = normalizeNodes([
      { name, address: `${name}.example`, kubeletPort: 10251, ...changes },
    ]).values() as Iterable<Node> as [Node];
  }

  isUp(): boolean {
    return this.up;
  }

  dial(attempt: DialAttempt): Promise<TunnelSocket> {
    return new Promise((resolve, reject) => {
      const socket = { destroy: () => undefined } as unknown as TunnelSocket;
      this.dials.push({ attempt, open: (stream = socket) => resolve(stream), fail: reject });
      attempt.signal.addEventListener('abort', () => reject(attempt.signal.reason));
    });
  }

  note(status: ProbeStatus): void {
    this.noted.push(status);
  }
}

describe('Prober', () => {
  let clock: SinonFakeTimers;
  let prober: Prober;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });

  afterEach(async () => {
    prober.stop();
    await turn();
    expect(clock.countTimers()).to.equal(0);
    clock.restore();
  });

  function start(names: string[], options: Partial<ProbeOptions> = {}): FakeProbed[] {
    prober = new Prober(checkProbe({ kind: 'tcp', intervalMs: 3000, timeoutMs: 1000, ...options }, 'probe'));
    const nodes = names.map((name) => new FakeProbed(name));
    prober.update(nodes);
    return nodes;
  }

  const counts = (nodes: readonly FakeProbed[]): number[] => nodes.map(({ dials }) => dials.length);

  const answerAll = async (nodes: readonly FakeProbed[]): Promise<void> => {
    for (const { dials } of nodes) for (const { open } of dials) open();
    await turn();
  };

  it('probes the nodes in turn, spread evenly over the interval', async () => {
    const nodes = start(['a', 'b', 'c']);
    const seen: number[][] = [];
    for (let beat = 0; beat < 6; beat += 1) {
      clock.tick(1000);
      await answerAll(nodes);
      seen.push(counts(nodes));
    }
    expect(seen).to.deep.equal([
      [1, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
      [2, 1, 1],
      [2, 2, 1],
      [2, 2, 2],
    ]);
  });

  it("asks for the node's kubelet at its own address, or for another port", () => {
    const [a] = start(['a']);
    clock.tick(3000);
    expect(a?.dials[0]?.attempt).to.include({ node: 'a', host: 'a.example', port: 10251 });
    prober.stop();
    const [b] = start(['b'], { port: 9100 });
    clock.tick(3000);
    expect(b?.dials[0]?.attempt).to.include({ port: 9100 });
  });

  it('asks where the node knows itself', () => {
    start([]);
    const node = new FakeProbed('a', { selfAddress: '127.0.0.1' });
    prober.update([node]);
    clock.tick(3000);
    expect(node.dials[0]?.attempt).to.include({ host: '127.0.0.1' });
  });

  it('notes what came of it', async () => {
    const [a] = start(['a']);
    clock.tick(3000);
    a?.dials[0]?.open();
    await turn();
    clock.tick(3000);
    a?.dials[1]?.fail(new EndpointError('ECONNREFUSED', 'refused'));
    await turn();
    expect(a?.noted.map(({ ok, cause }) => ({ ok, cause }))).to.deep.equal([
      { ok: true, cause: undefined },
      { ok: false, cause: { code: 'ECONNREFUSED', message: 'refused' } },
    ]);
    expect(a?.noted[0]?.at).to.be.instanceOf(Date);
    expect(a?.noted[0]?.durationMs).to.be.a('number');
  });

  it('gives a probe up after its deadline', async () => {
    const [a] = start(['a']);
    clock.tick(3999);
    await turn();
    expect(a?.noted).to.deep.equal([]);
    clock.tick(1);
    await turn();
    expect(a?.noted[0]?.cause?.code).to.equal('ETIMEDOUT');
  });

  it('has one deadline for the stream and the answer together', async () => {
    const [a] = start(['a'], { kind: 'http' });
    clock.tick(3900);
    const silent = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    a?.dials[0]?.open(silent as TunnelSocket);
    await turn();
    clock.tick(99);
    await turn();
    expect(a?.noted).to.deep.equal([]);
    clock.tick(1);
    await turn();
    expect(a?.noted[0]?.cause).to.deep.equal({
      code: 'ETIMEDOUT',
      message: 'no answer to the http probe within 1000 ms',
    });
  });

  it('passes over a node whose tunnel is down, and one that is still being probed', async () => {
    const nodes = start(['a', 'b'], { intervalMs: 200 });
    nodes[0]!.up = false;
    clock.tick(400);
    await turn();
    expect(counts(nodes)).to.deep.equal([0, 1]);
  });

  it('probes those whose tunnels have come up soon, one after the other, and then in turn', async () => {
    const nodes = start(['a', 'b', 'c'], { intervalMs: 30_000 });
    const [a, b, c] = nodes as [FakeProbed, FakeProbed, FakeProbed];
    for (const node of [c, a, c]) prober.greet(node);
    const seen: number[][] = [];
    for (let times = 0; times < 4; times += 1) {
      clock.tick(100);
      await answerAll(nodes);
      seen.push(counts(nodes));
    }
    expect(seen).to.deep.equal([
      [0, 0, 1],
      [1, 0, 1],
      [1, 0, 1],
      [1, 0, 1],
    ]);
    clock.tick(9600);
    await answerAll(nodes);
    expect(counts(nodes)).to.deep.equal([2, 0, 1]);
    prober.greet(b);
    clock.tick(100);
    expect(counts(nodes)).to.deep.equal([2, 1, 1]);
  });

  it('does not probe one that has come up when it has gone, or its tunnel has, or when it never was there', () => {
    const nodes = start(['a', 'b', 'c'], { intervalMs: 30_000 });
    for (const node of nodes) prober.greet(node);
    prober.greet(new FakeProbed('bastion'));
    nodes[1]!.up = false;
    prober.update(nodes.slice(1));
    clock.tick(1000);
    expect(counts(nodes)).to.deep.equal([0, 0, 1]);
    prober.greet(nodes[0]!);
    clock.tick(1000);
    expect(counts(nodes)).to.deep.equal([0, 0, 1]);
  });

  it('probes several at once when there are more nodes than milliseconds', () => {
    const nodes = start(
      Array.from({ length: 25 }, (_, index) => `n${index}`),
      { intervalMs: 10 },
    );
    clock.tick(10);
    expect(nodes.every(({ dials }) => dials.length === 1)).to.equal(true);
  });

  it('keeps its beat when it is told the same number of nodes again and again', () => {
    const nodes = start(['a', 'b', 'c']);
    for (let times = 0; times < 6; times += 1) {
      clock.tick(500);
      prober.update(nodes);
    }
    expect(counts(nodes)).to.deep.equal([1, 1, 1]);
  });

  it('has its turns when nodes come and go more often than one has its turn', () => {
    const [a, b] = start(['a', 'b'], { intervalMs: 4000 });
    for (let times = 0; times < 8; times += 1) {
      prober.update(times % 2 === 0 ? [a!] : [a!, b!]);
      clock.tick(1000);
    }
    expect(counts([a!, b!])).to.deep.equal([1, 1]);
  });

  it('gives up the probe of a node that goes, and says nothing of it any more', async () => {
    const [a, b] = start(['a', 'b']);
    clock.tick(1500);
    prober.update([b!]);
    await turn();
    expect(a?.dials[0]?.attempt.signal.aborted).to.equal(true);
    expect(a?.noted).to.deep.equal([]);
    clock.tick(3000);
    expect(counts([a!, b!])).to.deep.equal([1, 1]);
  });
});
