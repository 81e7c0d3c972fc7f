import type { Writable } from 'node:stream';
import type { AnsweredRequest } from 'tunnel-dialer/apiserver';

/** A line of JSON for each request. A path is quoted by JSON, so that none can forge a line. */
export function accessLog(output: Writable): (answered: AnsweredRequest) => void {
  return ({ method, path, status, isUpgrade, user, from, durationMs }) => {
    const entry = {
      time: new Date().toISOString(),
      from,
      user,
      method,
      path,
      status,
      ...(isUpgrade && { upgrade: true }),
      ms: Math.round(durationMs),
    };
    output.write(`${JSON.stringify(entry)}\n`);
  };
}
