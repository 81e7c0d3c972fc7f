/** How far the work on many nodes is. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly troubles: number;
}

export function progressText({ done, total, troubles }: Progress): string {
  return `${done}/${total} nodes${troubles > 0 ? `, ${troubles} with a trouble` : ''}`;
}

/** A bar that is drawn over itself, as wide as a terminal. */
export function progressBar(progress: Progress, width: number): string {
  const text = progressText(progress);
  const room = Math.max(0, Math.min(50, width - text.length - 4));
  const filled = Math.round((progress.done / progress.total) * room);
  return `\r[${'#'.repeat(filled)}${'.'.repeat(room - filled)}] ${text}`;
}
