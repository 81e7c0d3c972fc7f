import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Who may use a proxy. It keeps neither the name nor the password, and tells nothing by the time that it takes. */
export class Login {
  readonly #key = randomBytes(32);
  readonly #expected: Buffer;

  constructor(username: string, password: string) {
    this.#expected = this.#digest(Buffer.from(username), Buffer.from(password));
  }

  /** The login of these options, if they ask for one. */
  static of(options: {
    readonly username: string | undefined;
    readonly password: string | undefined;
  }): Login | undefined {
    const { username, password } = options;
    return username === undefined || password === undefined ? undefined : new Login(username, password);
  }

  accepts(username: Buffer, password: Buffer): boolean {
    return timingSafeEqual(this.#digest(username, password), this.#expected);
  }

  /** Digests are of one length, as `timingSafeEqual` needs it, and say nothing of how much of a guess was right. */
  #digest(username: Buffer, password: Buffer): Buffer {
    const hmac = createHmac('sha256', this.#key);
    return hmac.update(`${username.length}:`).update(username).update(password).digest();
  }
}
