import { inspect } from 'node:util';
import type { ParsedKey } from 'ssh2';
import { debug } from '../../diagnostics.js';
import { InvalidOptionError } from '../../errors.js';
import { describeKind } from '../../validation.js';
import { Agent } from './agent.js';
import { parsePrivateKey } from './private-key.js';
import { fingerprintOf, formatPublicKey } from '../host-keys/public-key.js';
import { sha1Refusal } from './sha1-refusal.js';

/** What to log in to nodes with: a private key, an agent, or both. */
export interface CredentialOptions {
  /** Text of a private key in OpenSSH form or PEM. */
  privateKey?: string | Buffer | undefined;
  /** Decrypts the private key. */
  passphrase?: string | Buffer | undefined;
  /** Path of an ssh-agent's socket; `true` takes it from `SSH_AUTH_SOCK`. */
  agent?: string | true | undefined;
}

/** What ssh2 is told to try next; `false` gives up. */
type NextMethod =
  | { readonly type: 'publickey'; readonly username: string; readonly key: ParsedKey }
  | { readonly type: 'agent'; readonly username: string; readonly agent: Agent }
  | false;

/** One login on one connection. */
export interface LoginAttempt {
  /** For ssh2's `connect()`. */
  readonly authHandler: (methodsLeft: readonly string[] | null, partialSuccess: boolean | null) => NextMethod;
  /** What was tried so far, in words, such as `publickey (ssh-ed25519 SHA256:…)` or `agent (2 keys)`. */
  readonly tried: readonly string[];
  /** Methods that the node said it accepts; empty if it has not said so. */
  readonly accepted: readonly string[];
  /** To be told of each error that ssh2 emits with level `agent`; ssh2 goes on to the next key by itself. */
  agentFailed(error: Error): void;
}

/** The public half of the private key. */
export interface LoginKey {
  /** One line, such as `ssh-ed25519 AAAA…`, as in `authorized_keys`. */
  readonly publicKey: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

/** A private key that does not sign with SHA-1 but says so. */
function withoutSha1(key: ParsedKey, onRefusal: (reason: string) => void): ParsedKey {
  const sign = (data: Buffer | string, hash?: string): Buffer => {
    const refusal = sha1Refusal(key.type, hash);
    if (refusal === undefined) return key.sign(data, hash);
    onRefusal(refusal.message);
    // ssh2 expects errors to be returned, which its types do not say.
    return refusal as unknown as Buffer;
  };
  return Object.create(key, { sign: { value: sign } }) as ParsedKey;
}

function socketPathOf(agent: unknown): string {
  if (agent === true) {
    const { SSH_AUTH_SOCK: path = '' } = process.env;
    if (path !== '') return path;
    throw new InvalidOptionError(
      'ssh.agent',
      'is true, but SSH_AUTH_SOCK is not set: start ssh-agent and export it, or give the path of the socket',
    );
  }
  if (typeof agent === 'string' && agent !== '') return agent;
  const got = agent === '' ? 'an empty string' : describeKind(agent);
  throw new InvalidOptionError('ssh.agent', `must be true or the path of an agent's socket, got ${got}`);
}

/** What logs in to nodes. The private key is parsed once, here; nothing but its public half can be read from outside. */
export class Credentials {
  /** The public half of the private key, if there is one: an agent tells its keys only when it is asked. */
  readonly loginKey: LoginKey | undefined;
  readonly #key: ParsedKey | undefined;
  /** `ssh-ed25519 SHA256:…` */
  readonly #keyName: string | undefined;
  readonly #agentPath: string | undefined;

  /**
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` for `ssh.privateKey`, `ssh.passphrase` or
   *   `ssh.agent`
   */
  constructor({ privateKey, passphrase, agent }: CredentialOptions) {
    if (privateKey === undefined && agent === undefined) {
      throw new InvalidOptionError('ssh.privateKey', 'or ssh.agent is needed to log in to the nodes');
    }
    if (privateKey === undefined && passphrase !== undefined) {
      throw new InvalidOptionError('ssh.passphrase', 'is given without ssh.privateKey');
    }
    if (agent !== undefined) this.#agentPath = socketPathOf(agent);
    if (privateKey !== undefined) {
      const key = parsePrivateKey(privateKey, passphrase);
      this.#key = key;
      const blob = key.getPublicSSH();
      this.loginKey = { publicKey: formatPublicKey(blob), fingerprint: fingerprintOf(blob) };
      this.#keyName = `${key.type} ${this.loginKey.fingerprint}`;
    }
  }

  /** Begins a login: the key first, then the agent. Each connection needs its own. */
  attempt(username: string): LoginAttempt {
    return new Attempt(username, this.#key, this.#keyName, this.#agentPath);
  }

  toJSON(): { privateKey?: string; agent?: true } {
    return {
      ...(this.#keyName === undefined ? {} : { privateKey: this.#keyName }),
      ...(this.#agentPath === undefined ? {} : { agent: true }),
    };
  }

  [inspect.custom](): string {
    return `Credentials ${inspect(this.toJSON())}`;
  }
}

/** A method that was tried, and what became known of it. */
interface Trial {
  readonly method: string;
  note: string;
}

class Attempt implements LoginAttempt {
  readonly #steps: (() => NextMethod)[] = [];
  readonly #tried: Trial[] = [];
  readonly #agent: Trial = { method: 'agent', note: '' };
  #accepted: readonly string[] = [];

  constructor(
    username: string,
    key: ParsedKey | undefined,
    keyName: string | undefined,
    agentPath: string | undefined,
  ) {
    if (key !== undefined) {
      const trial = { method: `publickey (${keyName ?? key.type})`, note: '' };
      const onRefusal = (reason: string): void => void (trial.note = `, but ${reason}`);
      this.#steps.push(() => {
        this.#tried.push(trial);
        return { type: 'publickey', username, key: withoutSha1(key, onRefusal) };
      });
    }
    if (agentPath !== undefined) {
      const onKeys = (outcome: string): void => void (this.#agent.note = ` (${outcome})`);
      this.#steps.push(() => {
        this.#tried.push(this.#agent);
        const agent = new Agent({ socketPath: agentPath, except: key?.getPublicSSH(), onKeys });
        return { type: 'agent', username, agent };
      });
    }
  }

  get tried(): readonly string[] {
    return this.#tried.map(({ method, note }) => method + note);
  }

  get accepted(): readonly string[] {
    return this.#accepted;
  }

  readonly authHandler = (
    methodsLeft: readonly string[] | null,
    partialSuccess: boolean | null,
  ): NextMethod => {
    if (methodsLeft !== null) {
      this.#accepted = [...methodsLeft];
      const last = this.#tried.at(-1);
      // RFC 4252 §5.1. After the agent ssh2 only says again what it said after the key.
      if (partialSuccess === true && last !== undefined && last !== this.#agent) {
        last.note = ', which was right but is not enough';
      }
      // Both steps are this method, and sshd counts what cannot succeed too (MaxAuthTries,
      // PerSourcePenalties).
      if (!methodsLeft.includes('publickey')) return false;
    }
    const next = this.#steps.shift()?.() ?? false;
    debug.ssh('login: %s', next === false ? 'nothing is left to try' : `trying ${next.type}`);
    return next;
  };

  agentFailed(error: Error): void {
    this.#agent.note = ` (${error.message})`;
  }
}
