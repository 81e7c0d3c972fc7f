import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { ownSshd, type Feature } from './applicability.js';
import { findProgram } from './find-program.js';
import type { FaultyLink, Impairment, LinkKind, Way } from './faulty-link.js';
import { NetworkNamespace, run } from './network-namespace.js';
import { startSshd } from './own-sshd.js';
import type { EndpointPlace, Sshd, SshdOptions } from './sshd.js';
import { targetKind } from './target.js';

const DELAY_LINE = new URL('delay-line.py', import.meta.url).pathname;
const DELAY_TABLE = 100;

/** Networks of 16 addresses in 198.18.0.0/15, which is set aside for tests of networks (RFC 2544). */
const SLICES = 2 ** 13;

/** The end of the router's link from which packets of each way come in. */
const ENTRY: Record<Way, string> = { up: 'front', down: 'back' };

/**
 * Addresses of one link:
 *
 *     this machine                 router                     node
 *     client ───────────── front        back ───────────── sshd
 *     endpoints ────────────────────────────────── endpointGate
 */
interface Addresses {
  readonly client: string;
  readonly front: string;
  readonly back: string;
  readonly sshd: string;
  readonly endpoints: string;
  readonly endpointGate: string;
  /** The network of `back` and `sshd`. */
  readonly nodeNetwork: string;
}

let started = 0;

/** Those of a slice that no link of this machine has. Processes that run at once begin at different ones. */
function freeAddresses(): Addresses {
  const taken = new Set(
    Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address)),
  );
  for (let tries = 0; tries < SLICES; tries++) {
    started += 1;
    const start = ((process.pid * 8 + started) % SLICES) * 16;
    const at = (offset: number) =>
      `198.${18 + ((start + offset) >> 16)}.${((start + offset) >> 8) & 255}.${(start + offset) & 255}`;
    if (taken.has(at(1)) || taken.has(at(9))) continue;
    return {
      client: at(1),
      front: at(2),
      back: at(5),
      sshd: at(6),
      endpoints: at(9),
      endpointGate: at(10),
      nodeNetwork: `${at(4)}/30`,
    };
  }
  throw new Error('198.18.0.0/15 is full');
}

/** A link of real packets: between this machine and a namespace with the sshd, a router in a namespace of its own that misbehaves. */
class NamespaceLink implements FaultyLink {
  readonly place: EndpointPlace;
  readonly #addresses: Addresses;
  readonly #router: NetworkNamespace;
  readonly #node: NetworkNamespace;
  #sshd: Sshd | undefined;
  #delayLine: ChildProcess | undefined;

  private constructor(addresses: Addresses, router: NetworkNamespace, node: NetworkNamespace) {
    this.#addresses = addresses;
    this.#router = router;
    this.#node = node;
    this.place = { listenHost: addresses.endpoints, endpointHost: addresses.endpoints };
  }

  static async start(options: SshdOptions = {}): Promise<NamespaceLink> {
    const router = await NetworkNamespace.create();
    const node = await NetworkNamespace.create();
    const link = new NamespaceLink(freeAddresses(), router, node);
    try {
      await link.#connect();
      const { sshd: address } = link.#addresses;
      link.#sshd = await startSshd(options, { name: node.name, address, place: link.place });
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  get sshd(): Sshd {
    if (this.#sshd === undefined) throw new Error('the link is not up yet');
    return this.#sshd;
  }

  get access(): Sshd {
    return this.sshd;
  }

  async partition(ways: readonly Way[]): Promise<void> {
    for (const way of ways) await this.#router.exec(`iptables -A FORWARD -i ${ENTRY[way]} -j DROP`);
  }

  async impair({ lossPercent = 0, delayMs = 0, jitterMs = 0 }: Impairment): Promise<void> {
    for (const entry of lossPercent > 0 ? Object.values(ENTRY) : []) {
      const some = `-m statistic --mode random --probability ${lossPercent / 100}`;
      await this.#router.exec(`iptables -A FORWARD -i ${entry} ${some} -j DROP`);
    }
    if (delayMs > 0) await this.#delay(delayMs, jitterMs);
  }

  async heal(): Promise<void> {
    await this.#router.exec('iptables -F FORWARD');
    await this.#endDelay();
  }

  /** The node's kernel sends the resets. */
  async reset(): Promise<void> {
    await this.#node.exec(`ss -K -t -n state established src ${this.#addresses.sshd}`);
  }

  async removeAddress(): Promise<void> {
    await this.#node.ip(`addr del ${this.#addresses.sshd}/30 dev uplink`);
  }

  async restoreAddress(): Promise<void> {
    const { sshd, back } = this.#addresses;
    await this.#node.ip(`addr add ${sshd}/30 dev uplink`);
    // It went with the address.
    await this.#node.ip(`route replace default via ${back}`);
  }

  async close(): Promise<void> {
    await this.#sshd?.close();
    await this.#endDelay();
    // Their links go with them.
    this.#node.remove();
    this.#router.remove();
  }

  async #connect(): Promise<void> {
    const { client, front, back, sshd, endpoints, endpointGate, nodeNetwork } = this.#addresses;
    const router = this.#router;
    const node = this.#node;
    await run(`ip link add ${node.name}c type veth peer name ${ENTRY.up} netns ${router.name}`);
    await run(`ip link add ${node.name}e type veth peer name endpoints netns ${node.name}`);
    await run(`ip -n ${router.name} link add ${ENTRY.down} type veth peer name uplink netns ${node.name}`);

    await run(`ip addr add ${client}/30 dev ${node.name}c`);
    await run(`ip addr add ${endpoints}/30 dev ${node.name}e`);
    await router.ip(`addr add ${front}/30 dev ${ENTRY.up}`);
    await router.ip(`addr add ${back}/30 dev ${ENTRY.down}`);
    await node.ip(`addr add ${endpointGate}/30 dev endpoints`);
    await node.ip(`addr add ${sshd}/30 dev uplink`);

    await run(`ip link set ${node.name}c up`);
    await run(`ip link set ${node.name}e up`);
    for (const entry of Object.values(ENTRY)) await router.ip(`link set ${entry} up`);
    for (const device of ['endpoints', 'uplink']) await node.ip(`link set ${device} up`);

    await router.exec('sysctl -q -w net.ipv4.ip_forward=1');
    // What comes out of the delay line has not come by the way back to its sender.
    for (const scope of ['all', 'default'])
      await router.exec(`sysctl -q -w net.ipv4.conf.${scope}.rp_filter=0`);
    await run(`ip route add ${nodeNetwork} via ${front}`);
    await node.ip(`route add default via ${back}`);
  }

  /** Kernels come without netem; every one that has TUN can route by way of a process. */
  async #delay(delayMs: number, jitterMs: number): Promise<void> {
    await this.#endDelay();
    const command = [
      'netns',
      'exec',
      this.#router.name,
      'python3',
      DELAY_LINE,
      'line',
      `${delayMs}`,
      `${jitterMs}`,
    ];
    const line = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#delayLine = line;
    await once(line.stdout, 'data');
    await this.#router.ip('link set line up');
    await this.#router.ip(`route add default dev line table ${DELAY_TABLE}`);
    for (const entry of Object.values(ENTRY))
      await this.#router.ip(`rule add iif ${entry} table ${DELAY_TABLE}`);
  }

  /** What is still on the way is lost with the device. */
  async #endDelay(): Promise<void> {
    const line = this.#delayLine;
    this.#delayLine = undefined;
    if (line === undefined) return;
    for (const entry of Object.values(ENTRY))
      await this.#router.ip(`rule del iif ${entry} table ${DELAY_TABLE}`);
    const ended = once(line, 'close');
    line.stdin?.end();
    await ended;
  }
}

/** Whether this process may make network namespaces, and has the tools to spoil what passes between them. */
function isPossible(): boolean {
  const tools = ['ip', 'ss', 'iptables', 'sysctl', 'python3'];
  if (targetKind !== 'own' || process.getuid?.() !== 0) return false;
  if (!tools.every((tool) => findProgram(tool)) || !existsSync('/dev/net/tun')) return false;
  const name = `td${process.pid}n0`;
  const can = (line: string) => spawnSync('/bin/sh', ['-c', line], { stdio: 'ignore' }).status === 0;
  const rule = '-m statistic --mode random --probability 0.5 -j DROP';
  const possible =
    can(`ip netns add ${name} && ip netns exec ${name} iptables -A FORWARD ${rule}`) &&
    can(`ip -n ${name} link add one type veth peer name other`);
  can(`ip netns del ${name}`);
  return possible;
}

const networkNamespaces: Feature = { name: 'network namespaces', present: isPossible() };

/** Links of real packets, for root on Linux. */
export const namespaceLinks: LinkKind = {
  name: 'network namespaces',
  // It starts its own sshd, whatever the target.
  needs: [networkNamespaces, ownSshd],
  start: (options) => NamespaceLink.start(options),
};
