import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createAuthority,
  startKubelet,
  type Endpoint,
  type Kubelet,
  type KubeletContainer,
  type KubeletOptions,
  type SshNode,
} from '../../lib/testing/index.js';
import { generateKeyPair } from '../support/ssh-keys.js';
import type { Order, Outcome } from './command-host.js';
import { Lab } from '../support/dialer.js';
import { bundled } from './bundles.js';
import { environment, spawnExample, type Script, type SpawnOptions } from './script.js';

export const PASSPHRASE = 'secret of a private key';
export const TOKEN = 'token-of-a-service-account';

/** Options by name, without the dashes; `undefined` leaves one out. */
export type Arguments = Record<string, string | undefined>;

/** An SSH node with a kubelet behind it, and the files that the example needs to reach them. */
export class Rig extends Lab {
  /** Of the kubelets that a test puts in place of the usual one. */
  readonly #authority = createAuthority('cluster-ca');
  /** Names that only the node knows. */
  readonly names = new Map<string, Endpoint>();
  readonly #folder: string;
  /** Where a dial to port 10250 arrives. */
  #kubeletPort = 1;
  #ssh: SshNode | undefined;
  #kubelet: Kubelet | undefined;

  private constructor(folder: string) {
    super();
    this.#folder = folder;
    this.onEnd(() => rm(folder, { recursive: true }));
  }

  get ssh(): SshNode {
    if (this.#ssh === undefined) throw new Error('not started yet');
    return this.#ssh;
  }

  get kubelet(): Kubelet {
    if (this.#kubelet === undefined) throw new Error('not started yet');
    return this.#kubelet;
  }

  /** What the container `app` of the pod `web` prints. */
  get log(): KubeletContainer {
    return this.kubelet.container('default', 'web', 'app');
  }

  static async start(options: KubeletOptions = {}): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), 'kubelet-logs-test-')));
    const encrypted = generateKeyPair('ecdsa', PASSPHRASE);
    const node = await rig.node({
      authorizedKeys: [encrypted.publicKey],
      redirect: (host, port) =>
        port === 10250 ? { host: '127.0.0.1', port: rig.#kubeletPort } : rig.names.get(host),
    });
    rig.#ssh = node;
    const kubelet = await startKubelet({ tokens: [TOKEN], ...options });
    rig.onEnd(() => kubelet.close());
    rig.#kubeletPort = kubelet.port;
    rig.#kubelet = kubelet;
    const client = kubelet.clientCertificate({ commonName: 'admin' });
    await rig.file('key', node.ssh.privateKey);
    await rig.file('encrypted-key', encrypted.privateKey);
    await rig.file('known_hosts', `${node.knownHostsLine}\n`);
    await rig.file('ca.crt', `${kubelet.certificateAuthority}${rig.#authority.certificate}`);
    await rig.file('client.crt', client.certificate);
    await rig.file('client.key', client.privateKey);
    await rig.file('token', `${TOKEN}\n`);
    return rig;
  }

  /** Puts another kubelet in place of the usual one. */
  async replaceKubelet(listener: RequestListener): Promise<void> {
    const serving = this.#authority.issue({ commonName: 'node-1', altNames: ['127.0.0.1'] });
    const server = createServer({ cert: serving.certificate, key: serving.privateKey }, listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onEnd(async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
    this.#kubeletPort = (server.address() as AddressInfo).port;
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  async file(name: string, content: string): Promise<string> {
    await writeFile(this.path(name), content, { mode: 0o600 });
    return this.path(name);
  }

  /** A command line that works, but for what is changed in it. */
  argv(changes: Arguments = {}, ...rest: string[]): string[] {
    const { address, port } = this.ssh.spec;
    const all: Arguments = {
      node: `${address}:${port}`,
      user: 'tunnel',
      key: this.path('key'),
      'known-hosts': this.path('known_hosts'),
      ca: this.path('ca.crt'),
      cert: this.path('client.crt'),
      'client-key': this.path('client.key'),
      ...changes,
    };
    const options = Object.entries(all).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}=${value}`],
    );
    return [...options, ...(rest.length > 0 ? rest : ['web', 'app'])];
  }

  /** Runs a script of examples/ in a process of its own, which ends with the test at the latest. */
  spawn(script: string, argv: readonly string[] = [], options: SpawnOptions = {}): Script {
    const started = spawnExample(script, argv, options);
    this.onEnd(() => started.child.kill('SIGKILL'));
    return started;
  }
}

/** Runs a command in one process, one time after the other. */
export class CommandHost {
  readonly #command: Order['command'];
  readonly #child = fork(bundled('test/examples/command-host.ts'), { execArgv: [], env: environment });

  constructor(command: Order['command'] = 'kubeletLogs') {
    this.#command = command;
  }

  async run(argv: readonly string[], environment: Order['environment'] = {}): Promise<Outcome> {
    const died = new AbortController();
    const onExit = (): void => died.abort(new Error('the command has ended its process'));
    this.#child.once('exit', onExit);
    this.#child.send({ command: this.#command, argv, environment } satisfies Order);
    const [outcome] = (await once(this.#child, 'message', { signal: died.signal })) as [Outcome];
    this.#child.off('exit', onExit);
    return outcome;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}
