import type { Duplex } from 'node:stream';

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

/**
 * A byte stream to an endpoint behind a node: a `Duplex` that passes for a connected `net.Socket` wherever Node's HTTP, TLS and HTTP/2
 * clients, `ws` and `undici` take one.
 *
 * It never ends cleanly when it was cut: a lost connection destroys it with a `TransportError` (`ECONNRESET`), a stream closed without
 * end-of-file with an `EndpointError` (`ECONNRESET`). A write calls back when it has left the process, and with the same error when it
 * has not. An endpoint's RST cannot be told from its FIN: sshd reports the same for both.
 */
export interface TunnelSocket extends Duplex {
  /** Name of the node that carries the stream. */
  readonly node: string;
  /** The endpoint's host as the node was asked for it; a DNS name is resolved on the node. */
  readonly remoteAddress?: string | undefined;
  /** The endpoint's port. */
  readonly remotePort?: number | undefined;
  /** `IPv4` or `IPv6`; `undefined` when a name was dialled. */
  readonly remoteFamily?: string | undefined;
  /** `false`: a dial resolves with an open stream. */
  readonly connecting: boolean;
  /** As in `node:net`. */
  readonly readyState: 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed';
  /** The idle time in milliseconds set by `setTimeout`; 0 or `undefined` is none. */
  readonly timeout?: number | undefined;
  /** Bytes that have arrived. */
  readonly bytesRead: number;
  /** Bytes that have left the process or wait for it. */
  readonly bytesWritten: number;
  /** Emits `timeout` after `timeoutMs` without traffic, and does nothing else. 0 turns it off. */
  setTimeout(timeoutMs: number, callback?: () => void): this;
  /** As in `node:net`; tunnels are always without delay. */
  setNoDelay(noDelay?: boolean): this;
  /** As in `node:net`; the liveness of a tunnel is its connection's matter. */
  setKeepAlive(enable?: boolean, initialDelayMs?: number): this;
  /** Takes `unref` back. */
  ref(): this;
  /** Lets the dialer's `close()` go ahead without waiting for this stream; `http.Agent` does it with sockets kept for later. */
  unref(): this;
  /** As in `node:net`; a tunnel has no local address. */
  address(): object;
  /** Destroys once what was written has left. */
  destroySoon(): void;
  /** Destroys; a tunnel cannot send RST. */
  resetAndDestroy(): this;
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
