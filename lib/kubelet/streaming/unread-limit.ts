/**
 * What may have been sent without a proof that it was read. Behind a command that reads nothing it lies in the buffers of sshd and of the
 * kernel: sshd closes a channel only when it could hand on all of it (channels.c, `chan_rcvd_oclose`), for which the kernel has room up to
 * some 3 MB on loopback. Over 100 ms it makes 10 MiB/s.
 */
export const MAX_UNREAD_BYTES = 1024 * 1024;

/** How much is sent between two pings. */
const PING_EVERY_BYTES = MAX_UNREAD_BYTES / 8;

/** How long the answer to the first ping, before which there is nothing to read, is waited for. */
const FIRST_ANSWER_MS = 5_000;

/** Bytes of a ping: how many of data were sent before it. */
const PING_BYTES = 6;

/**
 * Holds up what is sent to a peer that does not read it. Pings among the data tell: the answer to one (RFC 6455 §5.5.3) says that all before
 * it was read, and the kubelets' golang.org/x/net/websocket reads none before the command has taken what came before.
 *
 * Nothing is held up where the answers mean nothing: while we read nothing ourselves, so that they cannot arrive, and with a peer that has
 * never answered, though the first ping comes before all data.
 */
export class UnreadLimit {
  readonly #ping: (payload: Buffer) => void;
  /** Bytes sent, those of them before the last ping, and those that are known to be read. */
  #sent = 0;
  #pingedAt: number | undefined;
  #read = 0;
  #isReading = true;
  #answers: 'not yet' | 'yes' | 'never' = 'not yet';
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(ping: (payload: Buffer) => void) {
    this.#ping = ping;
  }

  get hasRoom(): boolean {
    return !this.#isReading || this.#answers === 'never' || this.#sent - this.#read < MAX_UNREAD_BYTES;
  }

  /** Calls back, once, when there is room. */
  whenRoom(callback: () => void): void {
    if (this.#isStopped) return;
    this.#waiting.add(callback);
    this.#limitWait();
  }

  /** To be called before so many bytes are sent. */
  beforeSending(bytes: number): void {
    if (this.#pingedAt === undefined || this.#sent - this.#pingedAt >= PING_EVERY_BYTES) this.#ask();
    this.#sent += bytes;
  }

  /** The answer to a ping. A peer may answer the last of several only, and send answers that nobody asked for. */
  answered(payload: Buffer): void {
    if (payload.length !== PING_BYTES || this.#pingedAt === undefined) return;
    const read = payload.readUIntBE(0, PING_BYTES);
    if (read < this.#read || read > this.#pingedAt) return;
    this.#read = read;
    this.#answers = 'yes';
    this.#wake();
  }

  /** Whether we read what the peer sends. */
  setReading(isReading: boolean): void {
    const begins = isReading && !this.#isReading;
    this.#isReading = isReading;
    if (!isReading) this.#wake();
    // A peer that could not get rid of its answers may have dropped them, and without data there are no more pings.
    else if (begins && !this.hasRoom && !this.#isStopped) this.#ask();
  }

  /** Whoever waits, or is about to, is not called back any more. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
    clearTimeout(this.#timer);
  }

  #ask(): void {
    const payload = Buffer.allocUnsafe(PING_BYTES);
    payload.writeUIntBE(this.#sent, 0, PING_BYTES);
    this.#pingedAt = this.#sent;
    this.#ping(payload);
  }

  #wake(): void {
    if (!this.hasRoom) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of waiting) callback();
  }

  #limitWait(): void {
    if (this.#answers !== 'not yet') return;
    this.#timer ??= setTimeout(() => {
      this.#answers = 'never';
      this.#wake();
    }, FIRST_ANSWER_MS);
  }
}
