import type { EndpointAddress } from '../contender.js';

/** What the process with the dialer is given. */
export interface ClientCourse {
  /** Directory of the compiled library. */
  readonly library: string;
  readonly port: number;
  readonly username: string;
  readonly privateKey: string;
  readonly knownHosts: string;
  readonly endpoints: EndpointAddress;
}

/** What the process has done since its start. */
export interface Tally {
  /** Calls of the system that write to a TCP socket. */
  readonly writes: number;
  readonly bytesWritten: number;
  /** Timers set so far. */
  readonly timers: number;
  /** Timers that are set now, those that do not hold the process included. */
  readonly timersAlive: number;
  /** Promises made so far. */
  readonly promises: number;
}

/** Bytes of V8's heap, for each dial. */
export interface DialHeap {
  /** Allocated, whether or not it was collected later. */
  readonly allocated: number;
  /** Still in use after all dials. */
  readonly kept: number;
}

/** What the process with the dialer can be asked. */
export interface ClientCalls {
  /** Begins to count, and connects. */
  start(course: ClientCourse): Promise<void>;
  tally(): Promise<Tally>;
  /** What it takes to be asked. */
  nothing(): Promise<void>;
  /** A dial, one byte there and back, the end. */
  dial(): Promise<void>;
  /** Opens a stream to the echo endpoint, or to the one that swallows, and keeps it for what follows. */
  open(endpoint: 'echo' | 'sink'): Promise<void>;
  /** One byte there and back on the open stream. */
  echo(): Promise<void>;
  /** So many bytes on the open stream, and the answer to the last. */
  upload(bytes: number): Promise<void>;
  closeStream(): Promise<void>;
  /** So many dials in one turn, each with an echo and an end. */
  burst(dials: number): Promise<void>;
  /** How much of the heap a dial takes, in batches. Nothing is counted in this process meanwhile. */
  dialHeap(batches: { readonly batches: number; readonly dials: number }): Promise<DialHeap>;
  /** Bytes of the heap that a stream takes which is open and idle. */
  idleHeap(streams: number): Promise<number>;
}
