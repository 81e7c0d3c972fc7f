import { createHook } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';

/**
 * Async resources that hold something of the system: sockets, servers, pipes, processes, timers, name
 * lookups.
 */
const HANDLES = new Set([
  'GETADDRINFOREQWRAP',
  'Immediate',
  'PIPEWRAP',
  'PROCESSWRAP',
  'TCPCONNECTWRAP',
  'TCPSERVERWRAP',
  'TCPWRAP',
  'Timeout',
  'UDPWRAP',
]);

/** A socket, timer or the like that is open, and where it was made. */
export interface OpenHandle {
  /** Type as `node:async_hooks` names it, such as `TCPWRAP` or `Timeout`. */
  readonly type: string;
  readonly stack: string;
}

const HERE = new URL(import.meta.url).pathname;

/** The frames of a stack trace outside Node and this file, innermost first. */
function framesOf(stack: string): string[] {
  const frames = stack.split('\n').slice(1);
  return frames.filter((frame) => !/\(?node:/.test(frame) && !frame.includes(`${HERE}:`));
}

/** Such as the timer of a test's own timeout, which it sets when the test has returned its promise. */
function madeByMocha(stack: string): boolean {
  return framesOf(stack)[0]?.includes('/node_modules/mocha/') ?? false;
}

/** Follows every socket, server, process and timer made from its start on, unref'd ones too. */
export class HandleTracker implements Disposable {
  readonly #open = new Map<number, OpenHandle>();
  #waiting = false;
  readonly #hook = createHook({
    init: (id, type) => {
      if (!HANDLES.has(type) || this.#waiting) return;
      const stack = new Error().stack ?? '';
      if (!madeByMocha(stack)) this.#open.set(id, { type, stack });
    },
    destroy: (id) => void this.#open.delete(id),
  });

  constructor() {
    this.#hook.enable();
  }

  /** What was made since the start and is still open. */
  open(): OpenHandle[] {
    return [...this.#open.values()];
  }

  /** How many of each type are open. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { type } of this.#open.values()) counts[type] = (counts[type] ?? 0) + 1;
    return counts;
  }

  /**
   * Waits until everything made since the start is closed: closing a socket takes some turns of the event
   * loop.
   *
   * @throws after `timeoutMs` (2 s), naming what is still open and where it was made
   */
  async allClosed(timeoutMs = 2_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#open.size > 0 && performance.now() < deadline) {
      this.#waiting = true; // the tracker's own turn is no leak
      const turned = turn();
      this.#waiting = false;
      await turned;
    }
    if (this.#open.size > 0)
      throw new Error(`${this.#open.size} still open:\n${describeHandles(this.open())}`);
  }

  /** Stops following. */
  stop(): void {
    this.#hook.disable();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** One paragraph per handle: its type and the first frames outside Node and this file. */
export function describeHandles(handles: readonly OpenHandle[]): string {
  return handles.map(({ type, stack }) => [type, ...framesOf(stack).slice(0, 4)].join('\n')).join('\n');
}

/**
 * Runs a piece of work and fails if it leaves a socket, server, process or timer behind, unref'd ones
 * included.
 *
 * @throws Error that names each of them and where it was made
 */
export async function expectNoLeaks(work: () => Promise<void>): Promise<void> {
  using tracker = new HandleTracker();
  await work();
  await tracker.allClosed();
}
