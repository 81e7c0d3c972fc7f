import type { Agent } from 'node:https';

/** How to reach one kubelet and to be known to it. */
export interface KubeletAccess {
  /** The node's name, which also carries the connection. */
  readonly node: string;
  /** The address that is dialled, and that the kubelet's certificate must be for. */
  readonly host: string;
  readonly port: number;
  /** How long an answer may take that is no stream, and a stream to open, unless its call says otherwise; in milliseconds. */
  readonly timeoutMs: number;
  /** Goes through the dialer, verifies the kubelet and shows the client certificate, if any. */
  readonly agent: Agent;
  /** `Authorization`, if any, as it is now: for each request anew, and never for a message. */
  headers(): Promise<Record<string, string>>;
}
