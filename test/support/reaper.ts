const undertakings = new Set<() => void>();
let armed = false;

function runAll(): void {
  for (const undertaking of [...undertakings].reverse()) {
    undertakings.delete(undertaking);
    try {
      undertaking();
    } catch (error) {
      console.error('cleaning up failed:', error);
    }
  }
}

function arm(): void {
  if (armed) return;
  armed = true;
  process.on('exit', runAll);
  for (const [name, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      // With another listener, such as mocha's, it is for that one to decide.
      if (process.listenerCount(name) === 1) process.exit(128 + number);
    });
  }
}

/**
 * The safety net below every server of the test suite: a synchronous clean-up that runs when this process
 * exits, or is asked to, before the server was closed. Returns the way to take the clean-up back.
 */
export function onExit(cleanUp: () => void): () => void {
  arm();
  undertakings.add(cleanUp);
  return () => undertakings.delete(cleanUp);
}
