import type { NodeSpec, TunnelDialer } from 'tunnel-dialer';
import { KubeletError } from 'tunnel-dialer/kubelet';
import { openKubelet, type Access } from '../access.js';

/** What a node's kubelet answered, or why it did not. */
export type Scrape =
  | {
      readonly name: string;
      readonly isWell: true;
      readonly status: 200;
      readonly ms: number;
      readonly bytes: number;
    }
  | {
      readonly name: string;
      readonly isWell: false;
      /** Of HTTP, if it came to that. */
      readonly status: number | undefined;
      readonly ms: number;
      readonly error: unknown;
    };

export interface ScrapeOptions {
  readonly dialer: TunnelDialer;
  readonly kubelet: Access['kubelet'];
  readonly path: string;
  readonly timeoutMs: number;
  /** Takes what a kubelet has answered, which is not kept. */
  readonly keep: (node: string, text: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Asks the kubelet of one node. @throws the signal's reason */
export async function scrape(node: NodeSpec, options: ScrapeOptions): Promise<Scrape> {
  const { dialer, path, timeoutMs, keep, signal } = options;
  const { name } = node;
  const startedAt = performance.now();
  try {
    await using kubelet = openKubelet(dialer, node, { ...options.kubelet, timeoutMs });
    const text = await (path === '/healthz'
      ? kubelet.healthz({ signal })
      : kubelet.metrics(path, { signal }));
    const ms = performance.now() - startedAt;
    await keep(name, text);
    return { name, isWell: true, status: 200, ms, bytes: Buffer.byteLength(text) };
  } catch (error) {
    signal.throwIfAborted();
    const status = error instanceof KubeletError ? error.status : undefined;
    return { name, isWell: false, status, ms: performance.now() - startedAt, error };
  }
}
