/** Nanoseconds since 1970, as log lines have them. */
export type Nanoseconds = bigint;

const MILLION = 1_000_000n;

export function fromMilliseconds(milliseconds: number): Nanoseconds {
  const whole = Math.floor(milliseconds);
  return BigInt(whole) * MILLION + BigInt(Math.floor((milliseconds - whole) * 1e6));
}

/** RFC 3339 with up to nine decimals; `undefined` when it is something else. */
export function parseTimestamp(text: string): Nanoseconds | undefined {
  const parts = /^(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const [, seconds = '', decimals = '', zone = ''] = parts ?? [];
  const milliseconds = Date.parse(`${seconds}${zone}`.toUpperCase());
  if (parts === null || Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * MILLION + BigInt(decimals.padEnd(9, '0'));
}

/** RFC3339NanoFixed, as a kubelet prints it (k8s.io/kubernetes, pkg/kubelet/kuberuntime/logs/logs.go): nine decimals, UTC. */
export function formatTimestamp(time: Nanoseconds): string {
  const seconds = new Date(Number(time / MILLION)).toISOString().slice(0, 19);
  return `${seconds}.${String(time % (1000n * MILLION)).padStart(9, '0')}Z`;
}
