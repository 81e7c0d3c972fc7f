interface Waiter {
  readonly condition: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Those who wait for a condition on something that changes now and then. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();
  #over: Error | undefined;

  /** Resolves when the condition holds; it is judged now and at every `changed()`. Rejects with what it throws. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    if (this.#over !== undefined) throw this.#over;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add({ condition, resolve, reject });
    });
  }

  /** Judges every condition again. */
  changed(): void {
    for (const waiter of this.#waiting) {
      try {
        if (!waiter.condition()) continue;
        waiter.resolve();
      } catch (error) {
        waiter.reject(error);
      }
      this.#waiting.delete(waiter);
    }
  }

  /** Nothing will change any more. */
  giveUp(reason: Error): void {
    this.#over = reason;
    for (const { reject } of this.#waiting) reject(reason);
    this.#waiting.clear();
  }
}
