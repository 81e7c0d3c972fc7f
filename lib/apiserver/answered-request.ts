import type { Duplex } from 'node:stream';
import { spelledOut } from '../printable.js';
import type { Caller } from './access.js';
import type { ProxyRequest, ProxyResponse } from './exchange.js';
import { splitUrl } from './split-url.js';

/** A request that has been answered, for an access log. */
export interface AnsweredRequest {
  readonly method: string;
  /** Without the query, in which a command may stand. */
  readonly path: string;
  /** `undefined` when the client went without an answer. */
  readonly status: number | undefined;
  readonly isUpgrade: boolean;
  /**
   * Whose it was: of a client certificate, or `system:anonymous` of who showed nothing. `undefined` for who came with a token: only the upstream
   * can tell whose that is, which would take a question for each, and what stands in a token is not true before it has said so.
   */
  readonly user: string | undefined;
  /** The client's address. */
  readonly from: string | undefined;
  /** From its head until the connection or the answer ended, in milliseconds. */
  readonly durationMs: number;
}

/** What is learned of a request while it is served. */
export interface AnswerWatch {
  caller?: Caller;
  /** Of an upgrade; a response tells it itself. */
  status?: number;
}

/** Tells of a request when its answer has ended. */
export function watchAnswer(
  request: ProxyRequest,
  client: ProxyResponse | Duplex,
  onAnswer: ((answered: AnsweredRequest) => void) | undefined,
): AnswerWatch {
  const watch: AnswerWatch = {};
  if (onAnswer === undefined) return watch;
  const startedAt = performance.now();
  const from = request.socket.remoteAddress;
  client.once('close', () => {
    const isUpgrade = !('statusCode' in client);
    const answered = isUpgrade ? watch.status : client.headersSent ? client.statusCode : undefined;
    onAnswer({
      method: request.method ?? '',
      path: spelledOut(splitUrl(request.url).path),
      status: answered,
      isUpgrade,
      user: watch.caller?.userName,
      from,
      durationMs: performance.now() - startedAt,
    });
  });
  return watch;
}
