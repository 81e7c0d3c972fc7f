/**
 * A source of numbers from 0 up to 1 that gives the same ones for the same seed, in place of `Math.random`.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // A linear congruence with the constants of Numerical Recipes; its high bits, which decide here, are good
    // enough.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** An integer from 0 up to `limit`, exclusive. */
export function below(limit: number, random: () => number): number {
  return Math.floor(random() * limit);
}
