/** What TCP has carried: SSH and its handshake included. */
export interface ByteCounts {
  readonly received: number;
  readonly sent: number;
}

export const NO_BYTES: ByteCounts = { received: 0, sent: 0 };

export const addBytes = (a: ByteCounts, b: ByteCounts): ByteCounts => ({
  received: a.received + b.received,
  sent: a.sent + b.sent,
});
