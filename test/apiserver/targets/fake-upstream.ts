import type { Caller } from '../../../lib/apiserver/access.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import type { UpstreamApi } from '../../../lib/apiserver/upstream-resolver.js';

/** An upstream whose answers are in memory, by path and query; the others are 404. An answer that is an error is thrown. */
export class FakeUpstream implements UpstreamApi {
  readonly answers: Record<string, unknown> = {};
  /** Who has asked for what, such as `alice /api/v1/nodes/n`. */
  readonly asked: string[] = [];

  async json(
    path: string,
    { as, signal }: { as: Caller | 'proxy'; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    this.asked.push(`${as === 'proxy' ? 'proxy' : as.key} ${path}`);
    await Promise.resolve();
    signal?.throwIfAborted();
    const answer = this.answers[path];
    if (answer instanceof Error) throw answer;
    if (answer === undefined) throw new StatusError(404, 'NotFound', 'not found');
    // As it would come from JSON.
    return JSON.parse(JSON.stringify(answer)) as unknown;
  }
}
