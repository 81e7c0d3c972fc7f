import type { SshAccess } from '../../support/sshd.js';

/** Key and certificate in PEM. */
export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

/** Where things are in the cluster, and what is shown to them. */
export interface Cluster {
  /** The kube-apiserver that the proxy stands before. */
  readonly upstream: { readonly server: string; readonly ca: string; readonly token: string };
  /** What the proxy shows to clients, issued by the upstream's authority. */
  readonly serving: KeyPair;
  readonly kubelet: KeyPair & { readonly port: number; readonly ca: string };
  readonly podPort: number;
}

/** What each process is given. */
export interface Course {
  /** Directory of the compiled library. */
  readonly library: string;
  readonly sshd: SshAccess;
  readonly cluster: Cluster;
}

/**
 * What a process between client and cluster does behind its TLS: all of the proxy; as little as makes a proxy; no more than to carry bytes
 * through the tunnel to the pod; or, without a tunnel, to answer what the pod would.
 */
export type Between = 'proxy' | 'bare proxy' | 'tunnel' | 'answer';

export interface BetweenCourse extends Course {
  readonly between: Between;
}

/** What a client is given. */
export interface ClientCourse extends Course {
  /** Of the process that it goes through; `undefined` for a client with a tunnel of its own. */
  readonly throughPort: number | undefined;
}

export interface ClusterCalls {
  start(library: string): Promise<Cluster>;
}

export interface BetweenCalls {
  /** The port that it listens on. */
  start(course: BetweenCourse): Promise<number>;
  /** CPU time of the process so far, in milliseconds. */
  cpuMs(nothing: undefined): Promise<number>;
}

export interface ClientCalls {
  start(course: ClientCourse): Promise<void>;
  /** Gets from the pod as many times, `atOnce` under way at any time; how long all of it took, in milliseconds. */
  get(count: { readonly requests: number; readonly atOnce: number }): Promise<number>;
  /** Has bytes echoed one after the other by a `cat` in a container; how long each took, in milliseconds. */
  echo(count: number): Promise<readonly number[]>;
  /** CPU time of the process so far, in milliseconds. */
  cpuMs(nothing: undefined): Promise<number>;
}

/** The node and the pod, as they are called. */
export const NODE = 'node-1';
export const POD = 'web';
export const CONTAINER = 'app';

/** Of the node and of the pod, which is in its network. Nobody has it; the node takes it for its loopback. */
export const ADDRESS = '10.0.0.11';
