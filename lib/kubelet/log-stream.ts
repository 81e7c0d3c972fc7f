import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenForAbort } from '../abortable-signal.js';
import { debug } from '../diagnostics.js';
import { messageOf } from '../errors.js';
import { KubeletError, LogCutError, type LogPosition } from './errors.js';
import type { KubeletAccess } from './kubelet-access.js';
import { logPath, type LogQuery, type LogRequest } from './log-options.js';
import { ownMemory } from './own-memory.js';
import { Patience } from './patience.js';
import { ask } from './request.js';
import { TimedLines } from './timed-lines.js';

/**
 * How long a kubelet may take to refuse a log, in milliseconds. That it does not refuse it says with the first line, which a container may
 * never print.
 */
const REFUSAL_MS = 2000;

/** An answer that has lasted this long, in milliseconds, is no failure to answer, even if there was nothing to say. */
const ALIVE_MS = 10_000;

const HIGH_WATER_MARK = 64 * 2 ** 10;

const NOWHERE: LogPosition = { lastTime: undefined, linesAtLastTime: 0 };

/** Whoever waits for the log to begin. */
interface Opening {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  timer?: NodeJS.Timeout;
}

/**
 * A container's log, byte for byte as the kubelet tells it.
 *
 *     opening ──▶ asking ──answer──▶ reading ──its end──▶ ended
 *                   ▲ │ failure         │ cut
 *                   │ └────────┬────────┘
 *                   └─waiting◀─┴─▶ failed
 */
export class LogStream extends Readable {
  readonly #access: KubeletAccess;
  readonly #request: LogRequest;
  /** What knows the times of a log that is followed; any other is passed on as it comes. */
  readonly #lines: TimedLines | undefined;
  readonly #patience: Patience | undefined;
  readonly #over = new AbortController();
  readonly #onAbort = (): void => this.#giveUp();
  #opening: Opening | undefined;
  /** Whether the kubelet has ever answered with the log. */
  #isAnswered = false;
  /** Bytes that may still be given. */
  #left: number;
  #room: (() => void) | undefined;
  /** When the log was first asked for; by the kubelet's clock once it has told it. */
  #begunAt = new Date();

  constructor(access: KubeletAccess, request: LogRequest) {
    super({ highWaterMark: HIGH_WATER_MARK });
    const { follow, timestamps, tailLines, limitBytes } = request;
    this.#access = access;
    this.#request = request;
    this.#left = follow === false ? Infinity : (limitBytes ?? Infinity);
    if (follow === false) return;
    this.#lines = new TimedLines({ timestamps, startsAnywhere: tailLines !== undefined });
    if (follow.resume !== undefined) this.#patience = new Patience(follow.resume);
  }

  /**
   * Asks for the log; once. Resolves when the kubelet answers with it; or, when it is followed, has had the request for a while and has not
   * refused.
   *
   * @throws what the request failed with; the signal's reason
   */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      const { signal } = this.#request;
      if (signal !== undefined) listenForAbort(signal, this.#onAbort);
      if (signal?.aborted === true) this.#giveUp();
      else this.#run().catch((error: unknown) => this.#fail(error));
    });
  }

  override _read(): void {
    this.#room?.();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
    clearTimeout(this.#opening?.timer);
    this.#over.abort(new Error('the log was closed'));
    this.#room?.();
    callback(error);
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    let path = logPath(this.#request.name, this.#query());
    for (;;) {
      const life = { begunAt: performance.now(), isConnected: false, hasGiven: false };
      const onConnect = (): void => {
        life.isConnected = true;
        this.#connected();
      };
      try {
        const response = await ask(this.#access, path, { signal, onConnect });
        this.#answered(response);
        await this.#pass(response, () => (life.hasGiven = true));
        this.#finish();
        return;
      } catch (error) {
        if (this.destroyed) return;
        const wasAlive = life.hasGiven || performance.now() - life.begunAt >= ALIVE_MS;
        const waitMs = this.#mayGoOn(error, life.isConnected)
          ? this.#patience?.after(error, wasAlive)
          : undefined;
        if (waitMs === undefined) {
          this.#fail(error);
          return;
        }
        path = logPath(this.#request.name, this.#queryAgain());
        debug.kubelet('%s: %s; asked again in %d ms', this.#name, messageOf(error), waitMs);
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Gives what arrives, and waits while nobody takes it. */
  async #pass(response: IncomingMessage, onGiven: () => void): Promise<void> {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      onGiven();
      await this.#give(this.#lines === undefined ? chunk : this.#lines.push(chunk));
      if (this.#left === 0) return;
    }
  }

  async #give(bytes: Buffer): Promise<void> {
    const given = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= given.length;
    if (given.length === 0 || this.destroyed) return;
    const room = new Promise<void>((resolve) => (this.#room = resolve));
    if (!this.push(ownMemory(given))) await room;
  }

  #finish(): void {
    const rest = this.#lines?.end();
    if (rest !== undefined && rest.length > 0) this.push(rest.subarray(0, Math.min(this.#left, rest.length)));
    this.push(null);
  }

  /** Until the log has begun, only what was under way is asked for again: whatever else is wrong, the caller is to know. */
  #mayGoOn(failure: unknown, wasConnected: boolean): boolean {
    return this.#opening === undefined || (wasConnected && !(failure instanceof KubeletError));
  }

  #connected(): void {
    if (this.#opening === undefined || this.#lines === undefined) return;
    this.#opening.timer ??= setTimeout(() => this.#begin(), REFUSAL_MS);
  }

  #answered({ headers: { date } }: IncomingMessage): void {
    if (!this.#isAnswered && date !== undefined && !Number.isNaN(Date.parse(date)))
      this.#begunAt = new Date(date);
    this.#isAnswered = true;
    this.#begin();
  }

  #begin(): void {
    clearTimeout(this.#opening?.timer);
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  #giveUp(): void {
    const reason: unknown = this.#request.signal?.reason;
    if (this.#opening !== undefined) this.#refuse(reason);
    else
      this.destroy(reason instanceof Error ? reason : new Error('the log was given up', { cause: reason }));
  }

  #fail(failure: unknown): void {
    if (this.#opening !== undefined) this.#refuse(failure);
    else if (!this.#isAnswered && failure instanceof KubeletError) this.destroy(failure);
    else this.destroy(this.#cut(failure));
  }

  /** Nobody has the stream yet who could be told of an error. */
  #refuse(reason: unknown): void {
    this.#opening?.reject(reason);
    this.destroy();
  }

  #cut(cause: unknown): LogCutError {
    const { node, host, port } = this.#access;
    const position = this.#lines?.position ?? NOWHERE;
    const from = position.lastTime === undefined ? '' : `; sinceTime ${position.lastTime} goes on from there`;
    const message = `the log of ${this.#name} was cut: ${messageOf(cause)}${from}`;
    return new LogCutError(message, position, { node, host, port, cause });
  }

  get #name(): string {
    const { namespace, pod, container } = this.#request.name;
    return `${namespace}/${pod}/${container}`;
  }

  #query(): LogQuery {
    const { follow, previous, tailLines, sinceSeconds, sinceTime, timestamps, limitBytes } = this.#request;
    const asked = { previous, tailLines, sinceSeconds, sinceTime };
    // The kubelet would count the times, too.
    return follow === false
      ? { ...asked, timestamps, limitBytes }
      : { ...asked, follow: true, timestamps: true };
  }

  /** What is left. As long as no line has come, that is what was asked for, as seen from when it was. */
  #queryAgain(): LogQuery {
    const { sinceSeconds, tailLines } = this.#request;
    const asked = this.#query();
    const since = this.#lines?.again();
    if (since !== undefined)
      return { ...asked, tailLines: undefined, sinceSeconds: undefined, sinceTime: since };
    // The kubelet's clock, or a caller who means always, may lead to where there is no date.
    const ago = (seconds: number): string =>
      new Date(Math.max(0, this.#begunAt.getTime() - seconds * 1000)).toISOString();
    if (tailLines === 0)
      return { ...asked, tailLines: undefined, sinceSeconds: undefined, sinceTime: ago(0) };
    if (sinceSeconds === undefined) return asked;
    return { ...asked, sinceSeconds: undefined, sinceTime: ago(sinceSeconds) };
  }
}
