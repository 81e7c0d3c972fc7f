import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { printable } from '../printable.js';
import { readToken, tokenFileOf } from './token-file.js';

/** An API server, and files with what proves to it who asks. All of them are read anew when they are needed. */
export interface ClusterFiles {
  /** URL of the API server, such as `https://10.0.0.1:6443`. */
  server: string;
  /** Path of the authorities of its certificate, in PEM. Default: those of Node. */
  caFile?: string | undefined;
  /** Path of our bearer token. */
  tokenFile?: string | undefined;
  /** Path of our client certificate, in PEM. */
  certFile?: string | undefined;
  /** Path of its private key, in PEM. */
  keyFile?: string | undefined;
}

/** Where it is written how to reach a cluster's API. */
export type ClusterPlace =
  | {
      readonly kind: 'kubeconfig';
      readonly name: string;
      /** Default: as the client library looks for it. */
      readonly path: string | undefined;
      readonly context: string | undefined;
    }
  | { readonly kind: 'files'; readonly name: string; readonly files: Readonly<ClusterFiles> }
  | {
      readonly kind: 'in-cluster';
      readonly name: string;
      /** What stands in front of `/var/run/secrets/…`. Default: nothing. */
      readonly root?: string;
    };

/** Where the API is, and what proves to it who asks. */
export interface Credentials {
  /** URL of the API, without a slash at its end. */
  readonly server: string;
  /** TLS options, headers and the agent of a request. */
  readonly options: RequestOptions;
}

/**
 * Gives credentials as they are now: asked again, an exec plugin is run again only when its token has expired. The signal ends the
 * plugin.
 */
export type CredentialSource = (signal: AbortSignal) => Promise<Credentials>;

/** Reads the configuration anew, so that what was rotated in it is used. */
export type ClusterAccess = () => CredentialSource;

/** The first lines are enough to know what a plugin complains of. */
const MAX_SHOWN = 300;

export function accessTo(place: ClusterPlace): ClusterAccess {
  return () => {
    const { config, tokenFile } = unlessSecret(`cannot use the ${place.name}`, () => load(place));
    return async (signal) => {
      const options: RequestOptions = {};
      endPluginWith(signal, config);
      try {
        await config.applyToHTTPSOptions(options);
        if (tokenFile !== undefined) setToken(options, await readToken(tokenFile));
      } catch (error) {
        throw withoutSecrets(`no credentials for the ${place.name}`, error);
      }
      return { server: config.getCurrentCluster()?.server ?? '', options: trimmed(options) };
    };
  };
}

interface Loaded {
  readonly config: KubeConfig;
  readonly tokenFile?: string | undefined;
}

function load(place: ClusterPlace): Loaded {
  const config = new KubeConfig();
  if (place.kind === 'in-cluster') {
    const missing = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'].find((name) => !process.env[name]);
    if (missing !== undefined) throw new Error(`${missing} is not set: this is no pod of a cluster`);
    config.loadFromCluster(place.root);
    return { config };
  }
  if (place.kind === 'files') {
    const { server, caFile, tokenFile, certFile, keyFile } = place.files;
    config.loadFromOptions({
      clusters: [{ name: 'cluster', server, caFile, skipTLSVerify: false }],
      users: [{ name: 'user', certFile, keyFile }],
      contexts: [{ name: 'context', cluster: 'cluster', user: 'user' }],
      currentContext: 'context',
    });
    return { config, tokenFile };
  }
  if (place.path === undefined) config.loadFromDefault();
  else config.loadFromFile(place.path);
  // What the library falls back to.
  if (config.currentContext === 'loaded-context' && config.getCluster('cluster')?.server === FALLBACK) {
    throw new Error('there is none: KUBECONFIG is not set, and ~/.kube/config does not exist');
  }
  if (place.context !== undefined) config.setCurrentContext(place.context);
  requireContext(config);
  const user = config.getCurrentUser()?.name;
  // Where the library falls back to the service account of a pod, no file has a user of that name.
  return { config, tokenFile: user === undefined ? undefined : tokenFileOf(user, place.path) };
}

const FALLBACK = 'http://localhost:8080';

/** Without a user the library would leave the certificate authority out, too, and without a cluster ask localhost. */
function requireContext(config: KubeConfig): void {
  const name = config.getCurrentContext() as string | undefined;
  const context = name === undefined ? null : config.getContextObject(name);
  if (name === undefined || context === null) {
    const known = config.getContexts().map((each) => each.name);
    throw new Error(`it has no context ${name ?? 'in use'}; it knows ${known.join(', ') || 'none'}`);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new Error(`its context ${name} is for a cluster ${context.cluster}, which it does not have`);
  if (config.getCurrentUser() === null)
    throw new Error(`its context ${name} is for a user ${context.user}, which it does not have`);
  const isUrl = URL.canParse(cluster.server) && /^https?:$/.test(new URL(cluster.server).protocol);
  if (!isUrl)
    throw new Error(`the server of its cluster ${cluster.name} must be a URL such as https://10.0.0.1:6443`);
}

/**
 * Has exec plugins run so that the signal ends them. The library gives them no deadline: each attempt would leave one more behind
 * that hangs. It offers no option either, so this reaches into it; of one that is made otherwise nothing is changed.
 */
function endPluginWith(signal: AbortSignal, config: KubeConfig): void {
  const { authenticators = [] } = config as unknown as { authenticators?: readonly object[] };
  for (const authenticator of authenticators) {
    if (!('execFn' in authenticator)) continue;
    authenticator.execFn = (command: string, args: readonly string[] | undefined, options: SpawnOptions) =>
      spawnUntil(signal, command, args ?? [], options);
  }
}

/** Ends the plugin with all that it has started, which would otherwise live on, and hold the pipes open. */
function spawnUntil(
  signal: AbortSignal,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  // A group of its own is what can be ended as a whole; Windows has none.
  const hasGroup = process.platform !== 'win32';
  const plugin = spawn(command, args, { ...options, detached: hasGroup });
  const end = (): void => {
    if (plugin.pid === undefined) return;
    try {
      if (hasGroup) process.kill(-plugin.pid, 'SIGKILL');
      else plugin.kill('SIGKILL');
    } catch {
      // It is over already.
    }
    for (const pipe of plugin.stdio) pipe?.destroy();
  };
  plugin.once('close', () => signal.removeEventListener('abort', end));
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  return plugin;
}

/** In place of the token in the kubeconfig itself, if there is one, as kubectl does. */
function setToken(options: RequestOptions, token: string): void {
  options.headers = {
    ...(options.headers as Record<string, string> | undefined),
    Authorization: `Bearer ${token}`,
  };
}

/** Files of tokens often end in a line feed, which no header may have. */
function trimmed(options: RequestOptions): RequestOptions {
  const headers = { ...(options.headers as Record<string, string> | undefined) };
  if (headers.Authorization !== undefined) headers.Authorization = headers.Authorization.trim();
  return { ...options, headers };
}

function unlessSecret<T>(problem: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw withoutSecrets(problem, error);
  }
}

/**
 * The error without its cause. What cannot be parsed is quoted by those who tried: the kubeconfig by js-yaml, and what a plugin
 * prints by `JSON.parse`. Both hold tokens and keys.
 */
function withoutSecrets(problem: string, error: unknown): Error {
  if (!(error instanceof Error)) return new Error(problem);
  if (error.name === 'YAMLException') return new Error(`${problem}: it is not YAML`);
  if (error instanceof SyntaxError) return new Error(`${problem}: what its plugin prints is not JSON`);
  // Node quotes a value of a wrong type.
  if (error instanceof TypeError)
    return new Error(`${problem}: something in it is missing, or of a wrong type`);
  // A plugin's complaint is made for a terminal.
  const said = printable(error.message, MAX_SHOWN);
  return new Error(`${problem}: ${said || 'its plugin failed, and does not say why'}`);
}
