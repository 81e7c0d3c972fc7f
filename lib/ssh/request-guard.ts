/** Requests that a node may make of us within the time below. sshd makes one for each `ClientAliveInterval`, at least a second. */
const MAX_REQUESTS = 100;
const WINDOW_MS = 10_000;

/** Counts what a node asks of us, so that one that floods us with requests is found out. */
export class RequestGuard {
  readonly #violated: (problem: string) => void;
  #windowStartMs = performance.now();
  #count = 0;

  /** @param violated - called when the node asks for more than it may */
  constructor(violated: (problem: string) => void) {
    this.#violated = violated;
  }

  /** Notes one request. */
  readonly onGlobalRequest = (): void => {
    const now = performance.now();
    if (now - this.#windowStartMs > WINDOW_MS) {
      this.#windowStartMs = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > MAX_REQUESTS)
      this.#violated(`made more than ${MAX_REQUESTS} requests in ${WINDOW_MS / 1000} s`);
  };

  /** We forward nothing to ourselves, so there is nothing that a node could open a channel for. */
  readonly onChannelOpen = (): void => this.#violated('opened a channel, which only we do');
}
