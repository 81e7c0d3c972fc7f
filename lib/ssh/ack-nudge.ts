/** Larger chunks mean a stream in full flow, in which Nagle's algorithm holds nothing back. */
const SMALL_CHUNK_BYTES = 4096;

/**
 * Whether a peer leaves Nagle's algorithm on for a connection that only forwards: OpenSSH before 10.1 sets TCP_NODELAY in
 * `do_exec_*` (session.c) alone, from 10.1 on at the start of every connection (`ssh_packet_set_qos`, sshd-session.c).
 */
export function delaysSmallAnswers(software: string): boolean {
  const version = /^OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)/.exec(software);
  if (version === null) return false;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  return major < 10 || (major === 10 && minor < 1);
}

/** What the nudge has to know of the connection, and what it makes it do. */
export interface NudgeTarget {
  /** Bytes written to the socket so far. */
  bytesWritten(): number;
  /** Sends a tiny message that asks for no reply. */
  send(): void;
}

/**
 * Has every small answer acknowledged at once. The kernel delays an ACK by 40 ms when nothing goes the other way, and a peer under
 * Nagle's algorithm holds the next small piece back until then; a message of our own carries the ACK.
 */
export class AckNudge {
  readonly #target: NudgeTarget;
  #bytesWrittenBefore = 0;
  #scheduled = false;

  constructor(target: NudgeTarget) {
    this.#target = target;
  }

  /** Notes that a chunk of `bytes` has arrived. */
  received(bytes: number): void {
    if (this.#scheduled || bytes > SMALL_CHUNK_BYTES) return;
    this.#scheduled = true;
    this.#bytesWrittenBefore = this.#target.bytesWritten();
    setImmediate(this.#check);
  }

  readonly #check = (): void => {
    this.#scheduled = false;
    if (this.#target.bytesWritten() === this.#bytesWrittenBefore) this.#target.send();
  };
}
