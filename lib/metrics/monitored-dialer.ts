import type { Dialer } from '../dialer.js';

/** A dialer that tells how it fares, such as a `TunnelDialer`. */
export interface MonitoredDialer extends Dialer {
  status(): MonitoredStatus;
}

/** What the metrics take from a dialer's status. */
export interface MonitoredStatus {
  readonly source?: {
    readonly name: string;
    readonly state: string;
    readonly updatedAt?: Date;
    readonly failure?: { readonly since: Date };
    readonly leftOut?: { readonly count: number };
  };
  readonly nodes: readonly MonitoredNode[];
  readonly bytes: { readonly received: number; readonly sent: number };
}

/** What the metrics take from the status of a node. */
export interface MonitoredNode {
  readonly name: string;
  readonly state: string;
  readonly roundTripMs?: number;
  readonly probe?: { readonly ok: boolean; readonly durationMs: number };
  readonly keyInstall?: { readonly lagSince: Date };
  readonly connections: { readonly ready: number; readonly connecting: number; readonly draining: number };
  readonly channels: { readonly open: number; readonly waiting: number };
  readonly counts: { readonly connected: number; readonly failed: number; readonly lost: number };
  readonly dials: { readonly opened: number; readonly failed: number };
  readonly bytes: { readonly received: number; readonly sent: number };
}
