import type { TunnelSocket } from './ssh/tunnel-socket.js';

/** What governs one dial. None of it affects the socket once the dial has resolved. */
export interface DialOptions {
  /** Gives the dial up: it rejects with the signal's reason and leaves nothing behind. */
  signal?: AbortSignal | undefined;
  /** Deadline of the whole dial in milliseconds: queue, connect and open together. Default: the dialer's `timeouts.dialMs`. */
  timeoutMs?: number | undefined;
  /** Name of the node that must carry the dial, whatever the host. Default: routed by host. */
  node?: string | undefined;
  /**
   * As in `node:net`: `false` (the default) ends our side when the endpoint has ended its own; `true` leaves that to the caller.
   */
  allowHalfOpen?: boolean | undefined;
}

/** Anything that opens byte streams to addresses behind nodes. Adapters and clients take a `Dialer`, whatever the transport. */
export interface Dialer extends AsyncDisposable {
  /**
   * Opens one byte stream to an endpoint as seen from a node.
   *
   * @param host - name or IP address; IPv6 with or without brackets
   * @param port - 1 to 65535
   */
  dial(host: string, port: number, options?: DialOptions): Promise<TunnelSocket>;
  /** Stops accepting dials, waits for open streams up to the grace period, then destroys. */
  close(): Promise<void>;
  /** Errors every stream and closes every connection at once. */
  destroy(error?: Error): void;
}
