import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ContainerLog, LogLine } from './container-log.js';
import type { LogQuery } from './log-query.js';
import { formatTimestamp } from './timestamp.js';

const NEWLINE = Buffer.from('\n');

/**
 * Sends a log, and what is added to it when it is followed. Like a kubelet it sends no header before the first byte, for as long as
 * nothing has been printed.
 */
export async function sendLog(
  log: ContainerLog,
  query: LogQuery,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const atFirst = log.end;
  // A kubelet looks for the last lines of the file first, and leaves out of them what is too old then.
  let next = query.tailLines === undefined ? 0 : Math.max(0, atFirst - query.tailLines);
  let left = query.limitBytes ?? Infinity;
  const until = query.follow ? Infinity : atFirst;
  while (next < until && left > 0) {
    const found = log.at(next);
    if (found === undefined) {
      if (log.isEnded) break;
      await log.more(next, signal);
    } else {
      next = found.number + 1;
      if (isWanted(found.line, query)) {
        const bytes = format(found.line, query);
        const part = bytes.subarray(0, Math.min(left, bytes.length));
        left -= part.length;
        if (!response.write(part)) await drained(response, signal);
      }
    }
    if (signal.aborted) return;
  }
  response.end();
}

function isWanted(line: LogLine, { since, stream }: LogQuery): boolean {
  return (since === undefined || line.time >= since) && (stream === undefined || line.stream === stream);
}

function format({ time, text }: LogLine, { timestamps }: LogQuery): Buffer {
  const parts = timestamps ? [Buffer.from(`${formatTimestamp(time)} `), text, NEWLINE] : [text, NEWLINE];
  return Buffer.concat(parts);
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  await once(response, 'drain', { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
