import type { Asker } from './access.js';

/** What is read of a Node (core/v1). */
export interface NodeObject {
  readonly metadata?: { readonly name?: string } | undefined;
  readonly status?:
    | {
        readonly addresses?: readonly { readonly type: string; readonly address: string }[] | undefined;
        readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } } | undefined;
      }
    | undefined;
}

/** What is read of a Pod (core/v1). */
export interface PodObject {
  readonly metadata?:
    { readonly name?: string; readonly namespace?: string; readonly uid?: string } | undefined;
  readonly spec?:
    | {
        readonly nodeName?: string | undefined;
        readonly containers?: readonly PodContainer[] | undefined;
        readonly initContainers?: readonly PodContainer[] | undefined;
        readonly ephemeralContainers?: readonly PodContainer[] | undefined;
      }
    | undefined;
  readonly status?:
    | {
        readonly podIP?: string | undefined;
        readonly podIPs?: readonly { readonly ip?: string }[] | undefined;
      }
    | undefined;
}

/** What is read of a container of a pod. */
export interface PodContainer {
  readonly name: string;
  readonly ports?: readonly { readonly containerPort: number }[] | undefined;
}

/** What is read of a Service (core/v1). */
export interface ServiceObject {
  readonly spec?:
    { readonly ports?: readonly { readonly name?: string; readonly port: number }[] } | undefined;
}

/** One address behind a service. */
export interface ServiceEndpoint {
  readonly address: string;
  readonly isReady: boolean;
  readonly nodeName?: string | undefined;
  /** The pod that it says it is. */
  readonly pod?: { readonly namespace: string; readonly name: string } | undefined;
  /** The endpoint's ports by the names of the service's. */
  readonly ports: readonly { readonly name: string; readonly port: number }[];
}

/** Whose lookup it is, and what gives it up. */
export type LookupOptions = Asker;

/** What can be looked up; a service goes with its endpoints. */
export interface LookedUp {
  readonly kind: 'node' | 'pod' | 'service';
  /** None for nodes. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Looks up what a request names. What is not there is `undefined`. */
export interface Resolver {
  node(name: string, options: LookupOptions): Promise<NodeObject | undefined>;
  pod(namespace: string, name: string, options: LookupOptions): Promise<PodObject | undefined>;
  service(namespace: string, name: string, options: LookupOptions): Promise<ServiceObject | undefined>;
  /** Of EndpointSlices, or of Endpoints where a cluster has none. */
  endpoints(namespace: string, service: string, options: LookupOptions): Promise<readonly ServiceEndpoint[]>;
  /** What was found cannot be reached: the next who want to know it are not told what is remembered. */
  forget?(what: LookedUp, options: LookupOptions): void;
}
