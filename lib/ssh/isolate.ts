/**
 * Runs code of the user's that would otherwise run inside ssh2's packet parser. ssh2 takes an exception there for a protocol error and
 * ends the whole connection; thrown again from a microtask it reaches the process as uncaught, as it would from a `net.Socket`.
 */
export function isolate(callUser: () => void): void {
  try {
    callUser();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
