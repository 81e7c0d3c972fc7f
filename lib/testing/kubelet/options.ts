import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { InvalidOptionError } from '../../errors.js';
import {
  arrayOf,
  boolean,
  callable,
  describeKind,
  host,
  integer,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  withDefault,
  type Check,
} from '../../validation.js';

/** A container of a pod that the fake kubelet runs. */
export interface ContainerOptions {
  readonly name: string;
  /**
   * What runs in it, as a real process of this machine, in a process group of its own: what `attach` attaches to, and whose output goes
   * into the log. Default: nothing; the log has what `container().print` puts there.
   */
  readonly command?: readonly string[] | undefined;
  /** Whether the command runs under a terminal (`script` of util-linux). Default: false. */
  readonly tty?: boolean | undefined;
  /** Whether the command has a stdin to attach to, as `stdin` of a pod; else it reads nothing. Default: true. */
  readonly stdin?: boolean | undefined;
  /** Whether the command's stdin ends with that of the first client attached to it, as `stdinOnce` of a pod. Default: false. */
  readonly stdinOnce?: boolean | undefined;
  /** Lines that the log begins with. Default: none. */
  readonly log?: readonly string[] | undefined;
}

/** A pod that the fake kubelet runs. */
export interface PodOptions {
  readonly name: string;
  /** Default: `default`. */
  readonly namespace?: string | undefined;
  /** Default: a random one. */
  readonly uid?: string | undefined;
  readonly containers: readonly ContainerOptions[];
}

/** Options of {@link startKubelet}; all of them have a default. */
export interface KubeletOptions {
  /** Default: `node-1`. */
  nodeName?: string | undefined;
  /** Address to listen on. Default: `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: 0, a free one. */
  port?: number | undefined;
  /** Names and IP addresses that the serving certificate is good for. Default: `host` and `nodeName`. */
  altNames?: readonly string[] | undefined;
  /**
   * `authority`: for CN `system:node:<nodeName>` and O `system:nodes`, by an authority of its own, as with `serverTLSBootstrap`.
   * `self-signed`: for CN `<nodeName>@<time>`, as a kubelet makes for itself, which nothing but a pin can verify. Default: `authority`.
   */
  certificate?: 'authority' | 'self-signed' | undefined;
  /** Bearer tokens that it accepts. Default: a random one, which is `kubelet.token`. */
  tokens?: readonly string[] | undefined;
  /** Whether it takes requests from nobody in particular, as `system:anonymous`. Default: false. */
  anonymous?: boolean | undefined;
  /**
   * The versions of the WebSocket protocol of exec and attach (`v4.channel.k8s.io`, `v5.channel.k8s.io`) that it takes beside the first one
   * (`channel.k8s.io`), which every kubelet does. A kubelet before 1.36 takes only v4. Default: both.
   */
  protocols?: readonly ('v4' | 'v5')[] | undefined;
  /**
   * What to do with the bytes of a connection that was upgraded to SPDY/3.1. Called after the 101; the stream is then yours to read,
   * write and end; one that throws ends the connection. Default: exec, attach and port-forward, as of every kubelet.
   */
  spdy?: ((stream: Duplex, request: IncomingMessage) => void) | undefined;
  /** What it runs. Default: the pod `web` in the namespace `default`, with the container `app`. */
  pods?: readonly PodOptions[] | undefined;
}

export interface ContainerSettings {
  readonly name: string;
  readonly command: readonly string[] | undefined;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly log: readonly string[];
}

export interface PodSettings {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
  readonly containers: readonly ContainerSettings[];
}

export type ProtocolVersion = 'v1' | 'v4' | 'v5';

/** The options with defaults filled in. */
export interface Settings {
  readonly nodeName: string;
  readonly host: string;
  readonly port: number;
  readonly altNames: readonly string[];
  readonly certificate: 'authority' | 'self-signed';
  readonly tokens: readonly string[];
  readonly anonymous: boolean;
  readonly protocols: readonly ProtocolVersion[];
  readonly spdy: ((stream: Duplex, request: IncomingMessage) => void) | undefined;
  readonly pods: readonly PodSettings[];
}

/** A token is a secret: its kind only. The characters are those of RFC 6750 §2.1. */
const token: Check<string> = (value, path) => {
  if (typeof value === 'string' && /^[\w.~+/-]+=*$/.test(value)) return value;
  throw new InvalidOptionError(path, `must be a bearer token, got ${describeKind(value)}`);
};

/** As a path of a URL and as Kubernetes can have it. */
const name: Check<string> = (value, path) => {
  const text = nonEmptyString(value, path);
  if (/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(text) && text.length <= 253) return text;
  throw new InvalidOptionError(path, 'must be a name as Kubernetes has them: a-z, 0-9, - and .');
};

const command: Check<readonly string[]> = (value, path) => {
  const words = arrayOf(text)(value, path);
  if (words[0] !== undefined && words[0] !== '') return words;
  throw new InvalidOptionError(path, 'must begin with the program to run');
};

function text(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  throw new InvalidOptionError(path, `must be a string, got ${describeKind(value)}`);
}

const container = objectOf({
  name,
  command: optional(command),
  tty: withDefault(boolean, false),
  stdin: withDefault(boolean, true),
  stdinOnce: withDefault(boolean, false),
  log: withDefault(arrayOf(text), []),
});

const pod = objectOf({
  namespace: withDefault(name, 'default'),
  name,
  uid: optional(name),
  containers: arrayOf(container),
});

const check = objectOf({
  nodeName: withDefault(name, 'node-1'),
  host: withDefault(host, '127.0.0.1'),
  port: withDefault(integer(0, 65535), 0),
  altNames: optional(arrayOf(nonEmptyString)),
  certificate: withDefault(oneOf('authority', 'self-signed'), 'authority'),
  tokens: optional(arrayOf(token)),
  anonymous: withDefault(boolean, false),
  protocols: withDefault(arrayOf(oneOf('v4', 'v5')), ['v4', 'v5']),
  spdy: optional(callable),
  pods: optional(arrayOf(pod)),
});

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkPod(options: PodOptions): PodSettings {
  return pod(options, 'pod');
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkOptions(options: KubeletOptions): Settings {
  const checked = check(options, '');
  const address = checked.host.replace(/^\[(.*)\]$/, '$1');
  return {
    ...checked,
    host: address,
    altNames: checked.altNames ?? [address, checked.nodeName],
    tokens: checked.tokens ?? [randomBytes(24).toString('base64url')],
    spdy: options.spdy,
    pods: checked.pods ?? [pod({ name: 'web', containers: [{ name: 'app' }] }, 'pods[0]')],
  };
}
