import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listingOf, type NodeSource, type NodeUpdate } from '../../lib/fleet/node-source.js';
import { kubernetesNodes, type KubernetesNodesOptions } from '../../lib/kubernetes/index.js';
import { FakeApiServer, type FakeNode } from '../support/fake-api-server.js';

/** A Node as a kubelet registers it; what is given replaces what it has. */
export function nodeOf(name: string, over: Partial<FakeNode> = {}): FakeNode {
  return {
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] },
    status: {
      addresses: [
        { type: 'Hostname', address: name },
        { type: 'InternalIP', address: '10.0.0.11' },
      ],
      conditions: [
        { type: 'MemoryPressure', status: 'False' },
        { type: 'Ready', status: 'True' },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    },
    ...over,
    metadata: { name, ...over.metadata },
  };
}

/** What a source tells, one after the other. */
export class Followed {
  readonly #updates: AsyncIterator<NodeUpdate>;
  readonly #stop = new AbortController();

  constructor(source: NodeSource) {
    this.#updates = source.follow(this.#stop.signal)[Symbol.asyncIterator]();
  }

  async nextUpdate(): Promise<NodeUpdate | 'end'> {
    const result = await this.#updates.next();
    return result.done === true ? 'end' : result.value;
  }

  /** The names of the next list, with those that are left out or kept as `!name`, or the message of the next error. */
  async next(): Promise<string> {
    const update = await this.nextUpdate();
    if (update === 'end') return update;
    if (update instanceof Error) return `Error: ${update.message}`;
    const { nodes, leftOut } = listingOf(update);
    return [...nodes.map(({ name }) => name), ...leftOut.map(({ name }) => `!${name}`)].join();
  }

  stop(): void {
    this.#stop.abort();
  }
}

/** An API server, a folder for kubeconfig files, and what follows them. */
export class Stage {
  readonly server: FakeApiServer;
  readonly folder: string;
  readonly #followed: Followed[] = [];

  private constructor(server: FakeApiServer, folder: string) {
    this.server = server;
    this.folder = folder;
  }

  static async start(): Promise<Stage> {
    return new Stage(await FakeApiServer.start(), await mkdtemp(join(tmpdir(), 'kubernetes-nodes-')));
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  write(name: string, content: string): Promise<void> {
    return writeFile(join(this.folder, name), content);
  }

  /** Follows the server's nodes by a kubeconfig with a token, without waits that a test would have to sit out. */
  async follow(options: KubernetesNodesOptions = {}): Promise<Followed> {
    await this.write('kubeconfig', this.server.kubeconfig());
    return this.followAsIs(options);
  }

  /** The same by whatever is in the kubeconfig. */
  followAsIs(options: KubernetesNodesOptions = {}): Followed {
    return this.keep(
      kubernetesNodes({ kubeconfig: this.kubeconfig, retryMinMs: 1, retryMaxMs: 1, ...options }),
    );
  }

  keep(source: NodeSource): Followed {
    const followed = new Followed(source);
    this.#followed.push(followed);
    return followed;
  }

  async end(): Promise<void> {
    for (const followed of this.#followed) followed.stop();
    await this.server.close();
    await rm(this.folder, { recursive: true });
  }
}
