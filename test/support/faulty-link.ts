import type { Requirement } from './applicability.js';
import type { EndpointPlace, Sshd, SshAccess, SshdOptions } from './sshd.js';

/** `up`: from the dialer to the node. */
export type Way = 'up' | 'down';

/** What a bad network does to all that passes, both ways. */
export interface Impairment {
  /** Share of the packets that are lost, in percent. Default: 0. */
  readonly lossPercent?: number;
  /** Default: 0. */
  readonly delayMs?: number;
  /** How much more or less than `delayMs` it takes. Default: 0. */
  readonly jitterMs?: number;
}

/** The network between a dialer and one node with a real sshd, with what can go wrong on it. */
export interface FaultyLink {
  /** How the sshd is reached over the link. */
  readonly access: SshAccess;
  /** The sshd itself, for what is done at the node. */
  readonly sshd: Sshd;
  /** Where endpoints are that the node reaches whatever becomes of the link, and that other nodes of this machine reach, too. */
  readonly place: EndpointPlace;
  /** Nothing passes any more, and nobody is told. */
  partition(ways: readonly Way[]): Promise<void>;
  impair(impairment: Impairment): Promise<void>;
  /** Ends partition and impairment. */
  heal(): Promise<void>;
  /** Resets all TCP connections between dialer and sshd. */
  reset(): Promise<void>;
  /** Takes the node's address from it. */
  removeAddress(): Promise<void>;
  /** Gives it back. */
  restoreAddress(): Promise<void>;
  close(): Promise<void>;
}

/** A way to make such links. */
export interface LinkKind {
  readonly name: string;
  readonly needs: readonly Requirement[];
  start(options?: SshdOptions): Promise<FaultyLink>;
}
