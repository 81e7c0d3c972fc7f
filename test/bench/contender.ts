import type { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { SshAccess } from '../support/sshd.js';

/** What the endpoint at the other end of a stream does; endpoint-servers.ts says how. */
export type EndpointName = 'echo' | 'twoPieces' | 'source' | 'sink' | 'https';

/** One way to reach an endpoint, connected and ready to be measured. */
export interface Contender {
  readonly name: string;
  /** Opens a stream to an endpoint. Whoever dialled destroys it. */
  dial(endpoint: EndpointName): Promise<Duplex>;
  /**
   * A new agent as a user of this contender would have it, for requests to where the endpoints listen. Connections are kept. Whoever asked
   * for it destroys it. Absent where users would make one from `dial`.
   */
  agent?(): Agent;
  close(): Promise<void>;
}

/** Where the endpoints listen. */
export interface EndpointAddress {
  readonly host: string;
  readonly ports: Readonly<Record<EndpointName, number>>;
  /** Certificate in PEM of the authority that vouches for `https`. */
  readonly certificateAuthority: string;
}

/** What every contender is given: plain data. */
export interface Course {
  readonly sshd: SshAccess;
  readonly endpoints: EndpointAddress;
  /** A directory for files, removed at the end. */
  readonly directory: string;
}

/** What a contender is told before it starts, in case it can be configured for it. */
export interface Wish {
  /** Channels that will be open at once. Default: as many as it holds with its defaults. */
  readonly channels?: number | undefined;
}

/** A contender that has not been started. */
export interface Entrant {
  readonly name: string;
  /** Variables for the environment of its process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** @throws {@link Absent} when it cannot take part on this machine */
  start(course: Course, wish?: Wish): Promise<Contender>;
}

/** Why a contender cannot take part; the run goes on without it. */
export class Absent extends Error {}
