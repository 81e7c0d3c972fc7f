/** A bounded number of things that are made when they are asked for; the one that was asked for the longest time ago makes place. */
export class RecentlyUsed<T> {
  readonly #max: number;
  readonly #onDrop: (thing: T) => void;
  readonly #things = new Map<string, T>();
  /** The key that was asked for last. */
  #latest: string | undefined;

  constructor(max: number, onDrop: (thing: T) => void) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#things.size;
  }

  get(key: string, make: () => T): T {
    const known = this.#things.get(key);
    if (known !== undefined && key === this.#latest) return known;
    const thing = known ?? make();
    this.#latest = key;
    // A Map is in the order in which its keys were added.
    this.#things.delete(key);
    this.#things.set(key, thing);
    if (this.#things.size > this.#max) this.#dropOldest();
    return thing;
  }

  delete(key: string): void {
    const thing = this.#things.get(key);
    if (thing === undefined) return;
    this.#things.delete(key);
    this.#onDrop(thing);
  }

  #dropOldest(): void {
    const [oldest] = this.#things.keys();
    if (oldest !== undefined) this.delete(oldest);
  }

  clear(): void {
    for (const key of [...this.#things.keys()]) this.delete(key);
  }
}
