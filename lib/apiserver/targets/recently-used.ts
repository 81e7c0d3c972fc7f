/** A bounded number of things that are made when they are asked for; the one that was asked for the longest time ago makes place. */
export class RecentlyUsed<T> {
  readonly #max: number;
  readonly #onDrop: (thing: T) => void;
  readonly #things = new Map<string, T>();

  constructor(max: number, onDrop: (thing: T) => void) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#things.size;
  }

  get(key: string, make: () => T): T {
    const thing = this.#things.get(key) ?? make();
    // A Map is in the order in which its keys were added.
    this.#things.delete(key);
    this.#things.set(key, thing);
    const [oldest] = this.#things.keys();
    if (this.#things.size > this.#max && oldest !== undefined) this.delete(oldest);
    return thing;
  }

  delete(key: string): void {
    const thing = this.#things.get(key);
    if (thing === undefined) return;
    this.#things.delete(key);
    this.#onDrop(thing);
  }

  clear(): void {
    for (const key of [...this.#things.keys()]) this.delete(key);
  }
}
