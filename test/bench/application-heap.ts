/** Objects of the application that a contender runs in; 30 000 are one megabyte. */
const SIZES = [300_000, 1_000_000, 150_000, 600_000, 850_000, 450_000, 750_000];

const application: { readonly id: number; readonly name: string }[] = [];
let resized = 0;

/**
 * Gives the process an application's heap, of another size each time. How often V8 collects everything for the sake of packet buffers
 * jumps with the size: at an unlucky one, a megabyte of code more or less decides over half of the throughput of whatever is measured.
 *
 * Nothing is ever collected by force: with no dial under way V8 would forget what it has compiled for them, and compile it during the round.
 */
export function resizeApplicationHeap(): void {
  const size = SIZES[resized % SIZES.length] ?? 0;
  resized += 1;
  application.length = Math.min(application.length, size);
  for (let id = application.length; id < size; id += 1) application.push({ id, name: `object ${id}` });
}
