import { InvalidOptionError } from '../errors.js';
import { boolean, integer, milliseconds, nonEmptyString, objectOf, optional } from '../validation.js';

/**
 * Why a channel is refused (RFC 4254 §5.1): 1 administratively prohibited, 2 connect failed, 3 unknown channel type, 4 resource
 * shortage.
 */
export type RefusalReason = 1 | 2 | 3 | 4;

/** A refusal, word for word as the client gets it. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** Default, as OpenSSH says it: `Connection refused` for reason 2, else `open failed`. */
  readonly description?: string | undefined;
}

/** What becomes of a channel open. */
export type OpenFault =
  | { readonly kind: 'none' }
  | { readonly kind: 'refuse'; readonly reason: RefusalReason; readonly description: string }
  | { readonly kind: 'never-answer' }
  | { readonly kind: 'confirm-late'; readonly gate: number | PromiseLike<unknown> };

/** What a new TCP connection meets. */
export type HandshakeFault =
  | { readonly kind: 'none' }
  | { readonly kind: 'stall'; readonly ident: boolean }
  | { readonly kind: 'banner'; readonly text: string; readonly endless: boolean };

const refusal = objectOf({ reason: integer(1, 4), description: optional(text) });
const bannerOptions = objectOf({ endless: optional(boolean) });

/**
 * The switches of a node. Each holds for every event that begins after it was set, until {@link Faults.reset}. There are three groups:
 * how channel opens are answered, how keys are judged, how a new connection begins. Within a group the last call wins.
 */
export class Faults {
  #open: OpenFault = { kind: 'none' };
  #handshake: HandshakeFault = { kind: 'none' };
  #keysRejected = false;

  /** The fault that the next channel open meets. */
  get open(): OpenFault {
    return this.#open;
  }

  /** The fault that the next connection meets. */
  get handshake(): HandshakeFault {
    return this.#handshake;
  }

  /** Whether every key is refused. */
  get keysRejected(): boolean {
    return this.#keysRejected;
  }

  /**
   * Refuses channel opens with this reason and text, without asking the endpoint.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  refuse(how: Refusal): void {
    const { reason, description } = refusal(how, 'refuse');
    const usual = reason === 2 ? 'Connection refused' : 'open failed';
    this.#open = { kind: 'refuse', reason: reason as RefusalReason, description: description ?? usual };
  }

  /** Leaves channel opens without an answer, for good: `reset()` does not answer them. */
  neverAnswer(): void {
    this.#open = { kind: 'never-answer' };
  }

  /**
   * Holds each channel open back, then goes on as usual: asks the endpoint, confirms or refuses.
   *
   * @param gate - milliseconds, or better a promise: a gate that the test opens itself. One that rejects refuses the open.
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  confirmLate(gate: number | PromiseLike<unknown>): void {
    if (typeof gate === 'number') {
      milliseconds()(gate, 'confirmLate');
    } else if (typeof (gate as Partial<PromiseLike<unknown>> | undefined)?.then === 'function') {
      // A gate that rejects before any open has come must not end the process as unhandled.
      gate.then(undefined, () => undefined);
    } else {
      throw new InvalidOptionError('confirmLate', 'must be a number of milliseconds or a promise');
    }
    this.#open = { kind: 'confirm-late', gate };
  }

  /** Refuses every public key, as a sshd does that does not know it. */
  rejectKey(): void {
    this.#keysRejected = true;
  }

  /** Accepts TCP connections, sends the identification line and then nothing more. */
  stallHandshake(): void {
    this.#handshake = { kind: 'stall', ident: true };
  }

  /** Accepts TCP connections and never sends a byte. */
  silent(): void {
    this.#handshake = { kind: 'stall', ident: false };
  }

  /**
   * Sends a text in place of the identification line, as a port that speaks no SSH does. The connection stays open.
   *
   * @param text - sent as it is; RFC 4253 §4.2 lets a server send lines before the identification, each ended by CR LF
   * @param options - `endless: true` sends the text again and again
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  banner(text: string, options: { readonly endless?: boolean | undefined } = {}): void {
    const { endless = false } = bannerOptions(options, 'banner');
    this.#handshake = { kind: 'banner', text: nonEmptyString(text, 'banner.text'), endless };
  }

  /** Back to normal for everything that begins from now on. */
  reset(): void {
    this.#open = { kind: 'none' };
    this.#handshake = { kind: 'none' };
    this.#keysRejected = false;
  }
}

function text(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  throw new InvalidOptionError(path, 'must be a string');
}
