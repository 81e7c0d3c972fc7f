import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';

/**
 * The names that requests may be addressed to: those given, `localhost`, that of this machine, and all IP addresses. Any page that a
 * browser shows can have its own name resolve to an address of ours and read then what we answer (DNS rebinding), but it cannot choose
 * a name of ours, nor an address, because these are not looked up.
 */
export class ServedHosts {
  readonly #names: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    this.#names = new Set(['localhost', hostname(), ...names].map(normalize));
  }

  /** The name that a request is addressed to, if it is none of ours. One without any comes from no browser. */
  strangeNameIn({ headers }: IncomingMessage): string | undefined {
    const authority = headers.host ?? headers[':authority'];
    if (typeof authority !== 'string') return undefined;
    const name = normalize(authority.replace(/:\d*$/, ''));
    return isIP(name) !== 0 || this.#names.has(name) ? undefined : name;
  }
}

/** Without brackets, case, and the dot of the root. */
function normalize(host: string): string {
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  return bare.toLowerCase().replace(/\.$/, '');
}
