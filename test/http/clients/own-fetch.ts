// Node makes the agent of its own fetch at the first use, and has no other way to it. An undici that is imported puts its own in its place.
await fetch('data:,').then((response) => response.text());

/** The class of the agent of Node's own fetch; to be imported before undici. */
export const ownAgent: unknown = (globalThis as unknown as Record<symbol, object>)[
  Symbol.for('undici.globalDispatcher.1')
]?.constructor;
