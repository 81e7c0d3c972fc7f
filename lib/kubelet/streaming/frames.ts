/**
 * Messages of `v4.channel.k8s.io` and `v5.channel.k8s.io`: one byte for the channel, then its data (Kubernetes
 * apimachinery/pkg/util/remotecommand/constants.go).
 */
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** What io.Copy, which the other side is made of, takes in one piece, and far below the 32 MiB that golang.org/x/net/websocket takes. */
export const MAX_DATA_BYTES = 32 * 1024;

/** Data as messages of one channel: big chunks are cut, small ones joined. Each message is made when it is asked for. */
export function* framesOf(channel: number, chunks: readonly Buffer[]): Generator<Buffer, void> {
  let left = chunks.reduce((sum, { length }) => sum + length, 0);
  let frame = begin(channel, left);
  let filled = 1;
  for (const chunk of chunks) {
    let taken = 0;
    while (taken < chunk.length) {
      const copied = chunk.copy(frame, filled, taken);
      taken += copied;
      filled += copied;
      if (filled < frame.length) continue;
      yield frame;
      left -= filled - 1;
      frame = begin(channel, left);
      filled = 1;
    }
  }
}

function begin(channel: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(1 + Math.min(bytes, MAX_DATA_BYTES));
  frame[0] = channel;
  return frame;
}
