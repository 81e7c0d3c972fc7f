import type { Duplex } from 'node:stream';
import type { SshAccess } from '../support/sshd.js';

/** What the endpoint at the other end of a stream does; endpoint-servers.ts says how. */
export type EndpointName = 'echo' | 'twoPieces' | 'source' | 'sink';

/** One way to reach an endpoint, connected and ready to be measured. */
export interface Contender {
  readonly name: string;
  /** Opens a stream to an endpoint. Whoever dialled destroys it. */
  dial(endpoint: EndpointName): Promise<Duplex>;
  close(): Promise<void>;
}

/** Where the endpoints listen. */
export interface EndpointAddress {
  readonly host: string;
  readonly ports: Readonly<Record<EndpointName, number>>;
}

/** What every contender is given: plain data. */
export interface Course {
  readonly sshd: SshAccess;
  readonly endpoints: EndpointAddress;
  /** A directory for files, removed at the end. */
  readonly directory: string;
}

/** A contender that has not been started. */
export interface Entrant {
  readonly name: string;
  /** @throws {@link Absent} when it cannot take part on this machine */
  start(course: Course): Promise<Contender>;
}

/** Why a contender cannot take part; the run goes on without it. */
export class Absent extends Error {}
