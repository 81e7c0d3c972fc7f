import { connect, type Socket } from 'node:net';
import type { ServerChannel } from 'ssh2';
import { boolean, integer, nonEmptyString, objectOf } from '../validation.js';
import type { Faults } from './faults.js';
import type { Endpoint } from './options.js';
import { splice } from './splice.js';

/** A request for a direct-tcpip channel (RFC 4254 §7.2) and the ways to answer it. */
export interface OpenRequest extends Endpoint {
  /** `undefined`: the connection is gone. */
  accept(): ServerChannel | undefined;
  refuse(reason: number, description: string): void;
}

/** What the node makes of requests. */
export interface ForwardRules {
  readonly faults: Faults;
  readonly permit: (host: string, port: number) => boolean;
  readonly redirect: (host: string, port: number) => Endpoint | undefined;
  /** Registers a socket that must not outlive the node. */
  readonly track: (socket: Socket) => void;
}

/** Who is told about a forward. */
export interface ForwardEvents {
  opened(): void;
  refused(reason: number, description: string): void;
  /** Closed on both sides, refused, or abandoned. Once, and last. */
  closed(): void;
  broken(error: unknown): void;
}

type State =
  | { readonly name: 'waiting'; timer?: NodeJS.Timeout }
  | { readonly name: 'connecting'; readonly endpoint: Socket }
  | { readonly name: 'open'; readonly endpoint: Socket; readonly channel: ServerChannel }
  | { readonly name: 'closed' };

/**
 * One channel of a node, from the request to the last byte.
 *
 *     waiting ──▶ connecting ──▶ open ──▶ closed
 *        └─────────────┴── refused ────────▲
 */
export class Forward {
  readonly #request: OpenRequest;
  readonly #rules: ForwardRules;
  readonly #events: ForwardEvents;
  #state: State = { name: 'waiting' };

  constructor(request: OpenRequest, rules: ForwardRules, events: ForwardEvents) {
    this.#request = request;
    this.#rules = rules;
    this.#events = events;
  }

  /** Whether the client waits for an answer. */
  get isPending(): boolean {
    return this.#state.name === 'waiting' || this.#state.name === 'connecting';
  }

  /** The channel, while it is open. */
  get channel(): ServerChannel | undefined {
    return this.#state.name === 'open' ? this.#state.channel : undefined;
  }

  /** Answers the request as the node's faults and rules say. */
  begin(): void {
    const fault = this.#rules.faults.open;
    switch (fault.kind) {
      case 'none':
        this.#connect();
        return;
      case 'refuse':
        this.#refuse(fault.reason, fault.description);
        return;
      case 'never-answer':
        return;
      case 'confirm-late':
        this.#wait(fault.gate);
    }
  }

  /** The connection is gone, and the endpoint learns of it. */
  abandon(): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    if (state.name === 'waiting') clearTimeout(state.timer);
    else state.endpoint.destroy();
    this.#close();
  }

  #wait(gate: number | PromiseLike<unknown>): void {
    const go = () => {
      if (this.#state.name === 'waiting') this.#connect();
    };
    if (typeof gate === 'number') {
      this.#state = { name: 'waiting', timer: setTimeout(go, gate) };
    } else {
      gate.then(go, (error: unknown) => {
        if (this.#state.name === 'waiting') this.#refuse(2, String(error));
      });
    }
  }

  #connect(): void {
    const target = this.#target();
    // `permit` may have ended the connection.
    if (target === undefined || this.#state.name === 'closed') return;
    // sshd sets TCP_NODELAY on the endpoint's side, too (channels.c `connect_next`).
    const endpoint = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#state = { name: 'connecting', endpoint };
    this.#rules.track(endpoint);
    endpoint.once('connect', () => this.#join(endpoint));
    endpoint.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#state.name === 'connecting') this.#refuse(2, sshdText(error.code));
    });
  }

  /** Where to connect to, when that is allowed. */
  #target(): Endpoint | undefined {
    const { host, port } = this.#request;
    try {
      if (!boolean(this.#rules.permit(host, port), 'permit()')) {
        this.#refuse(1, 'open failed');
        return undefined;
      }
      const redirected = this.#rules.redirect(host, port);
      if (redirected !== undefined) return redirection(redirected, 'redirect()');
    } catch (error) {
      // Thrown on, it would end the connection from within ssh2; like this the test sees it in its dial's error.
      this.#refuse(1, `permit or redirect failed: ${String(error)}`);
      return undefined;
    }
    if (host !== '' && port <= 65535) return { host, port };
    if (host === '') this.#refuse(2, sshdText('ENOTFOUND'));
    else this.#refuse(1, 'open failed');
    return undefined;
  }

  #join(endpoint: Socket): void {
    if (this.#state.name !== 'connecting') return;
    const channel = this.#request.accept();
    if (channel === undefined) return;
    this.#state = { name: 'open', endpoint, channel };
    splice(channel, endpoint, {
      closed: () => this.#close(),
      broken: (error) => this.#events.broken(error),
    });
    this.#events.opened();
  }

  #refuse(reason: number, description: string): void {
    this.#request.refuse(reason, description);
    this.#events.refused(reason, description);
    this.#close();
  }

  #close(): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    this.#events.closed();
  }
}

const redirection = objectOf({ host: nonEmptyString, port: integer(0, 65535) });

/** OpenSSH's words for a failed connect: `strerror` and `gai_strerror` of glibc. */
function sshdText(code: string | undefined): string {
  return texts[code ?? ''] ?? 'open failed';
}

const texts: Record<string, string | undefined> = {
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EAI_AGAIN: 'Temporary failure in name resolution',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EHOSTUNREACH: 'No route to host',
  EINVAL: 'Invalid argument',
  ENETUNREACH: 'Network is unreachable',
  ENOTFOUND: 'Name or service not known',
  ETIMEDOUT: 'Connection timed out',
};
