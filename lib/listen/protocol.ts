import type { TcpAddress, UnixAddress } from './address.js';
import type { Session } from './session.js';

/** What makes one kind of listener differ from the others. */
export interface Protocol {
  /** For debug output. */
  readonly name: string;
  /** Takes a client that has just connected, and has it say where to. */
  readonly serve: (session: Session) => void;
  /** How long that may take. Default: 10 s. */
  readonly requestTimeoutMs?: number;
  /** What a client is told that takes longer. */
  readonly late?: Buffer;
  /** The URL of a proxy at an address. */
  readonly url?: (address: TcpAddress | UnixAddress) => string | undefined;
}
