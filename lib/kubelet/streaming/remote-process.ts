import { Readable, type Writable } from 'node:stream';
import { listenForAbort } from '../../abortable-signal.js';
import { InvalidOptionError, asError } from '../../errors.js';
import { integer, objectOf } from '../../validation.js';
import { protocolError, shown, StreamingError } from './errors.js';
import { readOutcome, type Outcome, type RemoteExit } from './exit-status.js';
import { CHANNEL } from './frames.js';
import { Input, UnwantedInput } from './input.js';
import { Output } from './output.js';
import { PendingResize } from './pending-resize.js';
import type { StreamingChoices } from './options.js';
import type { Wire, WireEnd } from './wire.js';

/** How long the kubelet may take to close when it has said how the command ended; what it said holds anyway. */
const CLOSE_MS = 1_000;

/** Size of a terminal in characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const checkSize = objectOf({ columns: integer(1, 65535), rows: integer(1, 65535) });

/**
 *     running ──exit code──▶ told ──close, or 1 s──▶ over
 *        └──failure, destroy(), abort──┴──────────▶
 */
type State =
  | { readonly name: 'running' }
  | { readonly name: 'told'; readonly exit: RemoteExit; readonly timer: NodeJS.Timeout }
  | { readonly name: 'over' };

/**
 * A command in a container, or the container's own process that was attached to: made by `exec` and `attach` of a {@link KubeletClient}.
 *
 * `stdin`, `stdout` and `stderr` are streams with back-pressure. All of them come over one connection: **what is not read stalls the
 * others**, and `exit` with them. Read both outputs, or do not ask for one (`stderr: false`), or `resume()` it. One that is destroyed
 * without an error is read no more, and its data dropped; when all outputs were, the process is closed, as a pipe that nobody reads ends
 * a program. One that is destroyed with an error, as `pipeline` does when the other side has gone, closes the process.
 *
 * Whatever goes wrong destroys all three streams with that error and rejects `exit`; a lost tunnel never looks like an end. Nobody has to
 * listen for `error` on all of them: an error that nobody listens for does not end the program.
 *
 * A closed connection is all that tells the kubelet that we have gone. A command that neither reads its input nor prints goes on without
 * us: neither protocol has signals.
 */
export class RemoteProcess implements AsyncDisposable {
  /** `v5` can end stdin, `v4` cannot. */
  readonly protocol: 'v4' | 'v5';
  /**
   * What the command reads. A write calls back when it has left this process, which is at most 1 MiB ahead of what the kubelet has read: more
   * would keep sshd from closing the channel of a user who has gone. Not so while an output is full, nor with a server that answers no
   * pings. Unless `stdin: true` asked for it, a write fails the process.
   */
  readonly stdin: Writable;
  /** What the command prints. Ended from the start unless it was asked for. */
  readonly stdout: Readable;
  /** What the command prints as errors; with a terminal that is in `stdout`. Ended from the start unless it was asked for. */
  readonly stderr: Readable;
  /**
   * How the command ended, once everything it printed is in `stdout` and `stderr`. Rejects with a {@link StreamingError} when it was not
   * run or not to its end, with the tunnel's error, or with what `destroy` or the signal gave. Nobody has to look at it.
   */
  readonly exit: Promise<RemoteExit>;

  /** Name of the node whose kubelet it is. */
  readonly node: string;
  readonly #wire: Wire;
  readonly #choices: StreamingChoices;
  readonly #outputs = new Map<number, Output>();
  readonly #full = new Set<number>();
  readonly #input: Input | UnwantedInput;
  readonly #resize: PendingResize;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#fail(this.#signal?.reason);
  #state: State = { name: 'running' };
  #settleExit: { resolve: (exit: RemoteExit) => void; reject: (error: unknown) => void } | undefined;

  /** @internal */
  constructor(wire: Wire, choices: StreamingChoices, signal: AbortSignal | undefined) {
    this.node = wire.access.node;
    this.#wire = wire;
    this.#choices = choices;
    this.#signal = signal;
    this.protocol = wire.protocol === 'v5.channel.k8s.io' ? 'v5' : 'v4';
    this.#resize = new PendingResize(wire);
    this.stdout = this.#output(CHANNEL.stdout, choices.stdout);
    this.stderr = this.#output(CHANNEL.stderr, choices.stderr);
    this.#input = choices.stdin ? this.#makeInput() : new UnwantedInput((error) => this.#fail(error));
    this.stdin = this.#input;
    this.exit = new Promise((resolve, reject) => (this.#settleExit = { resolve, reject }));
    this.exit.catch(() => undefined);
    if (signal !== undefined) listenForAbort(signal, this.#onAbort);
    wire.listen({
      onData: (channel, data) => this.#receive(channel, data),
      onEnd: (end) => this.#wireEnded(end),
    });
  }

  /**
   * Tells the terminal its size. Of several sizes in a row only the last may be sent.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` without a terminal, or for a size that is none
   */
  resize(size: TerminalSize): void {
    const { columns, rows } = checkSize(size, 'size');
    if (!this.#choices.tty)
      throw new InvalidOptionError('tty', 'must be true for a resize: there is no terminal');
    if (this.#state.name === 'running') this.#resize.send(columns, rows);
  }

  /** Closes the connection at once. What is not at its end fails with the error, or with `ERR_KUBELET_CLOSED`. */
  destroy(error?: Error): void {
    this.#fail(
      error ??
        new StreamingError('ERR_KUBELET_CLOSED', 'closed before the command ended', { node: this.node }),
    );
  }

  /** Closes the connection, if it is still there, and waits until it has gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    await this.#wire.closed();
  }

  #output(channel: number, wanted: boolean): Readable {
    if (!wanted) return Readable.from([]);
    const output = new Output({
      onFull: (full) => this.#setFull(channel, full),
      onGone: (error) => this.#outputGone(error),
    });
    this.#outputs.set(channel, output);
    return output;
  }

  #makeInput(): Input {
    return new Input({
      send: (chunks, callback) => this.#wire.send(CHANNEL.stdin, chunks, callback),
      end: (callback) => this.#endInput(callback),
      onGone: (error) => this.#inputGone(error),
    });
  }

  #endInput(callback: (error?: Error | null) => void): void {
    if (this.protocol === 'v5') {
      this.#wire.send(CHANNEL.close, [Buffer.from([CHANNEL.stdin])], callback);
    } else if (this.#choices.stdinEndUnderV4 === 'ignore') callback();
    else callback(noEndOfInput(this.node));
  }

  #receive(channel: number, data: Buffer): void {
    // The first message of a kubelet is an empty one, on any channel that it writes.
    if (data.length === 0) return;
    // That a single output has ended is of no use before the command has.
    if (channel === CHANNEL.close && this.protocol === 'v5') return;
    const output = this.#outputs.get(channel);
    if (this.#state.name === 'told') {
      this.#wire.fail(
        protocolError(this.node, `sent more after the end of the command, on channel ${channel}`),
      );
    } else if (channel === CHANNEL.error) this.#told(readOutcome(this.node, data));
    else if (output !== undefined) output.receive(data);
    else
      this.#wire.fail(protocolError(this.node, `sent data on channel ${channel}, which was not asked for`));
  }

  #told(outcome: Outcome): void {
    if (outcome.kind === 'failure') {
      this.#fail(outcome.error);
      return;
    }
    const { exit } = outcome;
    const timer = setTimeout(() => this.#conclude(exit), CLOSE_MS);
    this.#state = { name: 'told', exit, timer };
    // Full outputs hold up nothing any more: only the close is to come.
    this.#wire.resume();
  }

  #wireEnded(end: WireEnd): void {
    const isBroken = end.how === 'failed' && end.error instanceof StreamingError;
    if (this.#state.name === 'told' && !isBroken) this.#conclude(this.#state.exit);
    else if (end.how === 'failed') this.#fail(end.error);
    else {
      const why = end.reason === '' ? '' : ` (${shown(end.reason)})`;
      const problem = `closed the stream with ${end.code}${why} and did not say how the command ended`;
      this.#fail(protocolError(this.node, problem));
    }
  }

  #conclude(exit: RemoteExit): void {
    if (!this.#isOver()) return;
    for (const output of this.#outputs.values()) if (!output.destroyed) output.push(null);
    const problem = 'the command ended before it was sent all of stdin';
    this.#input.conclude(() => new StreamingError('ERR_KUBELET_CLOSED', problem, { node: this.node }));
    this.#settleExit?.resolve(exit);
    this.#wire.close();
  }

  #fail(reason: unknown): void {
    if (!this.#isOver()) return;
    const error = asError(reason);
    for (const output of this.#outputs.values()) output.destroy(error);
    this.#input.destroy(error);
    this.#settleExit?.reject(reason);
    this.#wire.close();
  }

  /** Whether it is from now on, and was not before. */
  #isOver(): boolean {
    if (this.#state.name === 'over') return false;
    if (this.#state.name === 'told') clearTimeout(this.#state.timer);
    this.#state = { name: 'over' };
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }

  #setFull(channel: number, full: boolean): void {
    if (full) this.#full.add(channel);
    else this.#full.delete(channel);
    if (this.#full.size === 0) this.#wire.resume();
    else if (this.#state.name === 'running') this.#wire.pause();
  }

  #outputGone(error: Error | null): void {
    if (this.#state.name !== 'running') return;
    const isUnread = [...this.#outputs.values()].every((output) => output.destroyed);
    if (error !== null) this.#fail(error);
    else if (isUnread) this.destroy();
  }

  /** An end that is none must not look like one to the command. */
  #inputGone(error: Error | null): void {
    if (this.#state.name === 'running') this.destroy(error ?? undefined);
  }
}

function noEndOfInput(node: string): StreamingError {
  const problem =
    `the kubelet of ${node} speaks v4.channel.k8s.io, which cannot tell a command that its stdin has ended: it would wait for ever. ` +
    "Run one that knows how much to read (head -c) or ends by itself, with stdinEndUnderV4: 'ignore'";
  return new StreamingError('ERR_KUBELET_NO_HALF_CLOSE', problem, { node });
}
