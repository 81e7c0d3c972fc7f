import { startSshNode, type SshNode } from '../../../lib/testing/index.js';
import { knownHostsText } from '../../support/ssh-keys.js';
import { waitUntil } from '../../support/processes.js';
import { CalledProcess } from '../apiserver/calls.js';
import { startEndpoints } from '../endpoint-process.js';
import { quantile } from '../statistics.js';
import type { Count } from './baseline.js';
import { startCountingRelay, type CountingRelay, type Traffic } from './counting-relay.js';
import type { ClientCalls, ClientCourse, Tally } from './messages.js';

const CLIENT = new URL('client.ts', import.meta.url);

/** A count is the middle one of so many: a machine that has much else to do cuts TCP's stream elsewhere now and then. */
const REPEATS = 15;

const MIB = 1024 * 1024;
const BURST = 50;
/** How the answers of many dials fall into turns is the kernel's affair. */
const BURST_SLACK = 3;
/** So is how much of an upload it takes at once. */
const UPLOAD_SLACK = 3;
/** A dial that leaves something behind leaves an object, which is more. */
const KEPT_SLACK = 16;
/** An sshd that leaves Nagle's algorithm on, which we send something of our own to. */
const NAGLE = 'OpenSSH_9.2p1';
const IDLE_STREAMS = 100;
/** 10 000 dials. A batch takes less of the heap than V8 lets new objects have before it collects them. */
const HEAP = { batches: 20, dials: 500 };

/**
 * What makes two runs alike: no optimising compiler, which makes objects vanish at a moment of its own; room for all objects of a batch;
 * code that stays though it is not run during a collection.
 */
const HEAP_FLAGS = [
  '--expose-gc',
  '--no-opt',
  '--no-maglev',
  '--no-flush-bytecode',
  '--single-threaded-gc',
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
];

/** Makes a client's course to a node, whose relay may listen elsewhere. */
type Course = (node: SshNode, port: number) => ClientCourse;

/**
 * Counts what the library does, by an SSH node that is the same on every machine.
 *
 * @param library - directory of the compiled library
 */
export async function measureCounts(library: string): Promise<Count[]> {
  const node = await startSshNode();
  const slowNode = await startSshNode({ ident: NAGLE });
  const endpoints = await startEndpoints();
  const { host, ports, certificateAuthority } = endpoints;
  const course: Course = ({ ssh, clientKey, hostKey }, port) => ({
    library,
    port,
    username: ssh.username,
    privateKey: clientKey.privateKey,
    knownHosts: knownHostsText('127.0.0.1', port, [hostKey.publicKey]),
    endpoints: { host, ports, certificateAuthority },
  });
  try {
    return [
      ...(await countedBy(node, course, countDialer)),
      ...(await countedBy(slowNode, course, countNudges)),
      ...(await countHeap(course(node, node.spec.port))),
    ];
  } finally {
    await endpoints.close();
    await node.close();
    await slowNode.close();
  }
}

type Client = CalledProcess<ClientCalls>;

/** What one thing took. */
interface Cost {
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly packetsUp: number;
  readonly packetsDown: number;
  readonly writes: number;
  readonly timers: number;
  readonly promises: number;
}

/** Counts on both sides what things take, each when all before it has come to rest. */
class Work {
  readonly client: Client = new CalledProcess('client', CLIENT);
  readonly #node: SshNode;
  readonly #relay: CountingRelay;

  constructor(node: SshNode, relay: CountingRelay) {
    this.#node = node;
    this.#relay = relay;
  }

  /** Starts the client; it is logged in then. */
  async start(course: ClientCourse): Promise<void> {
    await this.client.call('start', course);
    await this.rest();
  }

  /** All that has gone over the wire so far. */
  traffic(): { readonly up: Traffic; readonly down: Traffic } {
    return { up: this.#relay.up(), down: this.#relay.down() };
  }

  /** @param channels - open when the thing is done */
  async cost(act: () => Promise<unknown>, channels = 0): Promise<Cost> {
    const before = await this.rest();
    const wire = this.traffic();
    await act();
    await this.#node.until((node) => node.channels === channels && node.pendingOpens === 0);
    const after = await this.rest();
    const { up, down } = this.traffic();
    return {
      bytesUp: up.bytes - wire.up.bytes,
      bytesDown: down.bytes - wire.down.bytes,
      packetsUp: up.packets - wire.up.packets,
      packetsDown: down.packets - wire.down.packets,
      writes: after.writes - before.writes,
      timers: after.timers - before.timers,
      promises: after.promises - before.promises,
    };
  }

  /** The middle of many. */
  async costs(act: () => Promise<unknown>, channels = 0): Promise<Cost> {
    const costs: Cost[] = [];
    for (let left = REPEATS; left > 0; left -= 1) costs.push(await this.cost(act, channels));
    const middle = (of: keyof Cost): number =>
      quantile(
        costs.map((cost) => cost[of]),
        0.5,
      );
    return {
      bytesUp: middle('bytesUp'),
      bytesDown: middle('bytesDown'),
      packetsUp: middle('packetsUp'),
      packetsDown: middle('packetsDown'),
      writes: middle('writes'),
      timers: middle('timers'),
      promises: middle('promises'),
    };
  }

  /** Waits until everything that was written has gone through the relay. */
  async rest(): Promise<Tally> {
    let tally = await this.client.call('tally', undefined);
    await waitUntil('the client to be at rest', async () => {
      const before = tally;
      const down = this.#relay.down().bytes;
      tally = await this.client.call('tally', undefined);
      return (
        before.bytesWritten === tally.bytesWritten &&
        tally.bytesWritten === this.#relay.up().bytes &&
        this.#relay.down().bytes === down
      );
    });
    return tally;
  }
}

/** What a client does through the relay, from its start to its end. */
async function countedBy(
  node: SshNode,
  course: Course,
  count: (work: Work) => Promise<Count[]>,
): Promise<Count[]> {
  const relay = await startCountingRelay(node.spec.port);
  const work = new Work(node, relay);
  try {
    await work.start(course(node, relay.port));
    return await count(work);
  } finally {
    await work.client.close();
    await relay.close();
  }
}

async function countDialer(work: Work): Promise<Count[]> {
  const { client } = work;
  const call = (name: 'dial' | 'echo' | 'closeStream' | 'nothing') => () => client.call(name, undefined);
  const login = work.traffic();
  // What is made once is none of a dial's.
  await work.costs(call('dial'));
  const nothing = await work.costs(call('nothing'));
  const dial = await work.costs(call('dial'));
  const burst = await work.costs(() => client.call('burst', BURST));
  await client.call('open', 'echo');
  const echo = await work.costs(call('echo'), 1);
  await client.call('closeStream', undefined);
  await client.call('open', 'sink');
  const upload = await work.costs(() => client.call('upload', MIB), 1);
  await client.call('closeStream', undefined);
  const { timersAlive } = await work.rest();
  return [
    exactly('login: bytes up', login.up.bytes),
    exactly('login: packets up', login.up.packets),
    exactly('dial: bytes up', dial.bytesUp),
    exactly('dial: bytes down', dial.bytesDown),
    exactly('dial: packets up', dial.packetsUp),
    exactly('dial: packets down', dial.packetsDown),
    exactly('dial: socket writes', dial.writes),
    exactly('dial: timers set', dial.timers),
    { name: 'dial: promises', value: dial.promises - nothing.promises, perNode: true },
    exactly(`${BURST} dials at once: bytes up`, burst.bytesUp),
    {
      name: `${BURST} dials at once: socket writes`,
      value: burst.writes,
      perNode: false,
      slack: BURST_SLACK,
    },
    exactly('echo: bytes up', echo.bytesUp),
    exactly('echo: packets up', echo.packetsUp),
    exactly('echo: socket writes', echo.writes),
    exactly('1 MiB up: bytes', upload.bytesUp),
    exactly('1 MiB up: packets', upload.packetsUp),
    { name: '1 MiB up: socket writes', value: upload.writes, perNode: false, slack: UPLOAD_SLACK },
    exactly('at rest: timers alive', timersAlive),
  ];
}

/** What is sent to have a small answer acknowledged that nothing of the user's goes with. */
async function countNudges(work: Work): Promise<Count[]> {
  const { client } = work;
  await client.call('open', 'echo');
  await work.costs(() => client.call('echo', undefined), 1);
  const echo = await work.costs(() => client.call('echo', undefined), 1);
  await client.call('closeStream', undefined);
  return [
    exactly('echo from an sshd that delays: bytes up', echo.bytesUp),
    exactly('echo from an sshd that delays: packets up', echo.packetsUp),
    exactly('echo from an sshd that delays: socket writes', echo.writes),
  ];
}

async function countHeap(course: ClientCourse): Promise<Count[]> {
  const client: Client = new CalledProcess('client', CLIENT, HEAP_FLAGS);
  try {
    await client.call('start', course);
    const { allocated, kept } = await client.call('dialHeap', HEAP);
    const idle = await client.call('idleHeap', IDLE_STREAMS);
    return [
      { name: 'dial: heap bytes allocated', value: Math.round(allocated), perNode: true, share: 0.05 },
      { name: 'dial: heap bytes kept', value: Math.round(kept), perNode: true, slack: KEPT_SLACK },
      { name: 'idle stream: heap bytes', value: Math.round(idle), perNode: true, share: 0.05 },
    ];
  } finally {
    await client.close();
  }
}

const exactly = (name: string, value: number): Count => ({ name, value, perNode: false });
