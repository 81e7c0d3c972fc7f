import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import https, { type RequestOptions } from 'node:https';
import { parseAllDocuments, stringify } from 'yaml';
import { startApiServer, type ApiObject, type ApiRule, type ApiServer } from '../../lib/testing/index.js';
import { Rig } from './rig.js';
import { firstMatch, type Script, type SpawnOptions } from './script.js';

/** The node as kubelets and users know it; where its sshd is, the tests say otherwise. */
export const NODE_ADDRESS = '10.1.0.1';
/** Who the proxy is to the upstream. */
export const PROXY = 'system:serviceaccount:tunnel-proxy:apiserver-proxy';
export const LOG = '/api/v1/namespaces/default/pods/web/log';

const OBJECTS: readonly ApiObject[] = [
  {
    kind: 'Node',
    metadata: { name: 'node-1' },
    status: { addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }] },
  },
  {
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { nodeName: 'node-1', containers: [{ name: 'app' }] },
    status: { phase: 'Running', podIP: '10.2.0.5', podIPs: [{ ip: '10.2.0.5' }] },
  },
];

/** A document of examples/deploy/apiserver-proxy.yaml. */
export interface Document {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly spec?: unknown;
}

/** The manifest. @param hasClientCa - with the lines in it that are commented out for client-ca */
export function manifest({ hasClientCa = false } = {}): readonly Document[] {
  const text = readFileSync('examples/deploy/apiserver-proxy.yaml', 'utf8');
  const told = hasClientCa ? text.replace(/^( +)# (- |  \w+:|client-ca:)/gm, '$1$2') : text;
  return parseAllDocuments(told).map((document) => document.toJS() as Document);
}

/** What the manifest gives to the proxy. */
export const rulesOf = (documents: readonly Document[]): readonly ApiRule[] =>
  documents.flatMap(({ rules = [] }) =>
    rules.map(({ resources, verbs }) => ({ subjects: [PROXY], resources, verbs })),
  );

/** A proxy that runs. */
export interface Proxy extends Script {
  readonly port: number;
  /** URL of the status page. */
  readonly status: string;
}

export interface StageOptions {
  /** Default: those of the manifest, without client-ca. */
  readonly rules?: readonly ApiRule[];
  readonly endpointSlices?: boolean;
}

/** An upstream, an SSH node with a kubelet behind it, and the configuration of a proxy between them. */
export class ApiserverStage {
  readonly rig: Rig;
  readonly apiServer: ApiServer;
  /** What the proxy is told, by option. */
  readonly config: Record<string, unknown>;

  private constructor(rig: Rig, apiServer: ApiServer, config: Record<string, unknown>) {
    this.rig = rig;
    this.apiServer = apiServer;
    this.config = config;
  }

  static async start({
    rules = rulesOf(manifest()),
    endpointSlices,
  }: StageOptions = {}): Promise<ApiserverStage> {
    const rig = await Rig.start({ altNames: [NODE_ADDRESS] });
    const users = [{ name: 'admin', groups: ['system:masters'] }, { name: PROXY }, { name: 'guest' }];
    const apiServer = await startApiServer({ users, rules, objects: OBJECTS, endpointSlices });
    rig.onEnd(() => apiServer.close());
    const { name, address, port } = rig.ssh.spec;
    const stage = new ApiserverStage(rig, apiServer, {
      listen: '127.0.0.1:0',
      status: '127.0.0.1:0',
      'tls-cert': rig.path('proxy.crt'),
      'tls-key': rig.path('proxy.key'),
      upstream: apiServer.url,
      'upstream-ca': await rig.file('upstream.crt', apiServer.certificateAuthority),
      'upstream-token-file': await rig.file('proxy-token', apiServer.tokenOf(PROXY)),
      'kubelet-ca': rig.path('ca.crt'),
      'kubelet-cert': rig.path('client.crt'),
      'kubelet-key': rig.path('client.key'),
      nodes: await rig.file('nodes.yaml', stringify([{ name, address, port, addresses: [NODE_ADDRESS] }])),
      user: 'tunnel',
      key: rig.path('key'),
      'known-hosts': rig.path('known_hosts'),
      drain: 600,
    });
    await stage.renewCertificate();
    return stage;
  }

  /** Gives the proxy another certificate to show. */
  async renewCertificate(): Promise<void> {
    const serving = this.apiServer.servingCertificate('127.0.0.1');
    await this.rig.file('proxy.crt', serving.certificate);
    await this.rig.file('proxy.key', serving.privateKey);
  }

  /** The path of a file with the configuration as it is now. */
  configFile(): Promise<string> {
    return this.rig.file('config.yaml', stringify(this.config));
  }

  /** Runs the proxy until it says that it serves. */
  async started(
    argv: readonly string[] = [],
    { isReady = true, ...options }: SpawnOptions & { readonly isReady?: boolean } = {},
  ): Promise<Proxy> {
    const file = await this.configFile();
    const script = this.rig.spawn('apiserver-proxy.ts', ['--config', file, ...argv], options);
    script.stdout.resume();
    const pattern = /https:\/\/127\.0\.0\.1:(\d+) stands[^]*(http:\/\/127\.0\.0\.1:\d+) tells/;
    const [, port, status = ''] = await firstMatch(saidBy(script), pattern);
    // It listens before it knows any nodes.
    if (isReady) while (!(await fetch(`${status}/readyz`)).ok);
    return { ...script, port: Number(port), status };
  }

  as(user: string): Record<string, string> {
    return { authorization: `Bearer ${this.apiServer.tokenOf(user)}` };
  }

  /** Resolves with the head of an answer. */
  async begin(
    { port }: Proxy,
    path: string,
    options: RequestOptions | string = 'admin',
  ): Promise<IncomingMessage> {
    const ca = this.apiServer.certificateAuthority;
    const own = typeof options === 'string' ? { headers: this.as(options) } : options;
    const request = https.get({ host: '127.0.0.1', port, path, ca, agent: false, ...own });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  }
}

/** What a script says on stderr. */
export function saidBy({ child }: Script): NonNullable<Script['child']['stderr']> {
  if (child.stderr === null) throw new Error('it has no stderr');
  return child.stderr;
}
