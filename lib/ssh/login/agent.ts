import { Socket } from 'node:net';
import {
  BaseAgent,
  createAgent,
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from 'ssh2';
import { sameBytes, SUPPORTED_KEY_TYPES } from '../host-keys/public-key.js';
import { sha1Refusal } from './sha1-refusal.js';

/** An agent that says nothing for this long is given up. */
const SILENCE_MS = 10_000;

export interface AgentOptions {
  readonly socketPath: string;
  /** A key in wire format that was tried already: sshd counts every try (`MaxAuthTries`). */
  readonly except: Buffer | undefined;
  /** Told what came of asking for its keys, in words. */
  readonly onKeys: (outcome: string) => void;
}

/**
 * An ssh-agent for one login. One that is gone counts as one without keys, and one that hangs keeps neither
 * the process alive nor a socket for good, as ssh2's own would.
 */
export class Agent extends BaseAgent<ParsedKey> {
  readonly #options: AgentOptions;
  readonly #agent: BaseAgent;

  constructor(options: AgentOptions) {
    super();
    this.#options = options;
    this.#agent = createAgent(options.socketPath);
    boundSockets(this.#agent);
  }

  override getIdentities(callback: IdentityCallback<ParsedKey>): void {
    const { except, onKeys } = this.#options;
    this.#agent.getIdentities((error, keys) => {
      const usable = ((keys ?? []) as ParsedKey[]).filter(
        (key) =>
          SUPPORTED_KEY_TYPES.includes(key.type) &&
          (except === undefined || !sameBytes(key.getPublicSSH(), except)),
      );
      if (keys === undefined) onKeys(`out of reach: ${error?.message ?? 'no answer'}`);
      else onKeys(usable.length === 1 ? '1 key' : `${usable.length === 0 ? 'no' : usable.length} keys`);
      callback(undefined, usable);
    });
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    const [settings, done] = typeof options === 'function' ? [{}, options] : [options, callback];
    const refusal = sha1Refusal(key.type, settings.hash);
    if (refusal === undefined) this.#agent.sign(key, data, settings, done);
    else done?.(refusal);
  }
}

function boundSockets(agent: BaseAgent): void {
  const open = agent.getStream?.bind(agent);
  if (open === undefined) return;
  agent.getStream = (callback) =>
    open((error, stream) => {
      if (stream instanceof Socket) stream.unref().setTimeout(SILENCE_MS, () => stream.destroy());
      callback(error, stream);
    });
}
