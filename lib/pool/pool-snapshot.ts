import type { TunnelError } from '../errors.js';

/** What became of the dials at a node. */
export interface DialCounts {
  readonly opened: number;
  readonly failed: number;
}

/** A node as its pool sees it at one moment. */
export interface PoolSnapshot {
  /** `idle`: not connected, and not asked to be. `degraded`: connected, but further connections fail. `down`: the last attempt failed. */
  readonly state: 'idle' | 'connecting' | 'ready' | 'degraded' | 'down';
  /** The last failure, while it is being waited out. */
  readonly failure: TunnelError | undefined;
  /** Milliseconds until the next attempt is due. */
  readonly retryInMs: number;
  readonly roundTripMs: number | undefined;
  readonly connections: { readonly ready: number; readonly connecting: number; readonly draining: number };
  readonly channels: { readonly open: number; readonly waiting: number };
  readonly counts: { readonly connected: number; readonly failed: number; readonly lost: number };
}
