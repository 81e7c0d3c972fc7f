import type { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/** What a node-bound request is sent to: a kubelet, a pod, or an endpoint of a service. */
export interface Backend {
  readonly scheme: 'http' | 'https';
  /** The address that is dialled; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** As in the URL of a request to it: `host`, in brackets if it is IPv6, and `:port` unless the port was left out. */
  readonly authority: string;
  /** Carries plain requests through the dialer, on connections that are kept. */
  readonly agent: Agent;
  /**
   * A connection of its own, for an upgrade: TLS is done, and speaks HTTP/1.1.
   *
   * @throws an error of the dial or of TLS, or the signal's reason
   */
  connect(signal?: AbortSignal): Promise<Duplex>;
  /** To be called when it cannot be reached: what was looked up to find it may be old. */
  readonly onUnreachable?: (() => void) | undefined;
}
