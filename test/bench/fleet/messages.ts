import type { NodeSpec } from '../../../lib/index.js';
import type { EndpointAddress } from '../contender.js';

/** What the process of the fleet is given: plain data. */
export interface FleetCourse {
  /** The library's `index.js`. */
  readonly library: string;
  readonly username: string;
  readonly privateKey: string;
  readonly nodes: readonly NodeSpec[];
  readonly endpoints: EndpointAddress;
}

/** What the fleet's start took. Memory in bytes, CPU in milliseconds. */
export interface Start {
  readonly readyMs: number;
  readonly cpuMs: number;
  /** Of the process with the library, before the first node. */
  readonly rssBefore: number;
  readonly rss: number;
}

/** What the fleet takes while nobody dials. */
export interface Idle {
  readonly cpuMs: number;
  readonly rss: number;
}

/** What happened since the watch began: one number per sample. */
export interface Watched {
  readonly ms: number;
  readonly sampleMs: number;
  /** Greatest number of handshakes under way within each sample. */
  readonly handshakes: readonly number[];
  /** Connections that were ready at the end of each sample. */
  readonly ready: readonly number[];
}

/** What the process of the fleet can be asked to do, one thing at a time. */
export interface FleetCalls {
  /** Makes the dialer; resolves when every node is ready. */
  start(course: FleetCourse): Promise<Start>;
  /** Does nothing for so many milliseconds. */
  idle(ms: number): Promise<Idle>;
  /** Collects the garbage and tells what is left on the heap beside what was there at first, in bytes. */
  heap(): Promise<number>;
  /** Begins to watch handshakes and connections anew. */
  watch(): Promise<void>;
  /** Resolves when so many connections are ready. */
  reach(ready: number): Promise<Watched>;
  /** Dials an echo through each of these nodes in turn and has a byte returned; how long each took, in milliseconds. */
  dial(nodes: readonly string[]): Promise<readonly number[]>;
  /** Dials an echo through each of these nodes in turn, has a byte returned, and keeps the stream. */
  hold(nodes: readonly string[]): Promise<void>;
}

export interface FleetRequest {
  readonly call: keyof FleetCalls;
  readonly argument: unknown;
}

export type FleetReply = { readonly value: unknown } | { readonly problem: string };
