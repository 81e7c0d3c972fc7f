import { expect } from 'chai';
import { once } from 'node:events';
import { TransportError, type NodeStatus, type TunnelDialer, type TunnelSocket } from '../../lib/index.js';
import { startEcho, startEndpoint, startSource } from '../support/endpoints.js';
import type { FaultyLink, LinkKind } from '../support/faulty-link.js';
import { namespaceLinks } from '../support/namespace-link.js';
import { waitUntil } from '../support/processes.js';
import { proxyLinks } from '../support/proxy-link.js';
import { nodeStatus, Stage } from './stage.js';

const KIB = 1024;
const ENDLESS = 1024 * 1024 * KIB;

/** The same tests run on real networks, where that is possible, and on what can be had everywhere. */
export const LINK_KINDS: readonly LinkKind[] = [namespaceLinks, proxyLinks];

/** Short, but long enough for an sshd on a busy machine to answer. */
export const SOON_DEAD = { keepaliveIntervalMs: 250, keepaliveCountMax: 2 };
export const SOON_DEAD_MESSAGE = /nothing was heard from it for 750 ms/;
/** Longer than the second that a lost SYN takes to be sent again. */
export const SOON_BACK = { reconnect: { minMs: 20, maxMs: 200 }, timeouts: { connectMs: 1500 } };

/** What becomes of a stream, to its last event. */
interface Fate {
  readonly events: readonly string[];
  readonly error: unknown;
}

/** Reads a stream until it is over. */
export async function fateOf(socket: TunnelSocket): Promise<Fate> {
  const events: string[] = [];
  let error: unknown;
  socket.on('end', () => events.push('end')).resume();
  socket.on('error', (reason) => {
    events.push('error');
    error = reason;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return { events: [...events, 'close'], error };
}

/** All streams were cut, and none looked like one that had come to its end. */
export async function expectCut(fates: readonly Promise<Fate>[], why: RegExp): Promise<void> {
  for (const { events, error } of await Promise.all(fates)) {
    expect(events).to.deep.equal(['error', 'close']);
    expect(error).to.be.an.instanceOf(TransportError).with.property('code', 'ECONNRESET');
    const { message } = error as Error;
    expect(message, message).to.match(why);
  }
}

/** The states that the first node enters from now on. */
export function statesOf(dialer: TunnelDialer): readonly NodeStatus['state'][] {
  const { name: first } = nodeStatus(dialer);
  const states: NodeStatus['state'][] = [];
  dialer.on('nodeState', ({ name, state }) => {
    if (name === first) states.push(state);
  });
  return states;
}

/** A stage with a node behind a bad network. */
export class NetworkStage extends Stage {
  #link: FaultyLink | undefined;

  get link(): FaultyLink {
    if (this.#link === undefined) throw new Error('there is no link yet');
    return this.#link;
  }

  async start(kind: LinkKind): Promise<void> {
    this.#link = await this.use(kind.start());
  }

  /** An idle stream, one that brings data without end, and one that takes as much. */
  async openStreams(dialer: TunnelDialer): Promise<TunnelSocket[]> {
    const { place } = this.link;
    const source = await this.use(startSource(ENDLESS, { place }));
    const sink = await this.use(startEndpoint((peer) => void peer.resume(), place));
    const idle = await this.dialEcho(dialer, await this.use(startEcho(place)));
    const download = await this.dial(dialer, source);
    await once(download, 'data');
    const upload = await this.dial(dialer, sink);
    const fill = (): void => {
      while (!upload.destroyed && upload.write(Buffer.alloc(64 * KIB)));
    };
    upload.on('drain', fill);
    fill();
    await once(upload, 'drain');
    return [idle, download, upload];
  }

  /** The node becomes ready, if it is not, and carries a stream. */
  async expectWorking(dialer: TunnelDialer): Promise<void> {
    await waitUntil('the node to be ready', () => nodeStatus(dialer).state === 'ready', 15_000);
    await this.dialEcho(dialer, await this.use(startEcho(this.link.place)));
  }
}
