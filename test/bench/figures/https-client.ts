import { Agent, request, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { Contestant } from '../figure.js';

/** The agent that everybody writes who has a stream and wants HTTPS. */
class DialAgent extends Agent {
  readonly #dial: () => Promise<Duplex>;

  constructor(dial: () => Promise<Duplex>) {
    super({ keepAlive: true });
    this.#dial = dial;
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    this.#dial().then(
      (socket) => {
        callback?.(null, super.createConnection({ ...options, socket } as RequestOptions)!);
      },
      (error: unknown) => (callback as ((error: unknown) => void) | undefined)?.(error),
    );
  }
}

/** HTTPS through a contender, to the endpoint that answers a GET of `/N` with N bytes. */
export class HttpsClient {
  readonly #contestant: Contestant;
  readonly #agent: Agent;
  readonly #secureContext: SecureContext;

  constructor(contestant: Contestant) {
    this.#contestant = contestant;
    this.#agent = contestant.agent?.() ?? new DialAgent(() => contestant.dial('https'));
    this.#secureContext = createSecureContext({ ca: contestant.course.endpoints.certificateAuthority });
  }

  /** Has a body of as many bytes sent, and reads it. Connections are kept for the next. */
  get(bytes: number): Promise<void> {
    const { host, ports } = this.#contestant.course.endpoints;
    return new Promise((resolve, reject) => {
      const options = {
        agent: this.#agent,
        host,
        port: ports.https,
        path: `/${bytes}`,
        secureContext: this.#secureContext,
      };
      request(options, (response) => {
        let left = bytes;
        response
          .on('data', (chunk: Buffer) => (left -= chunk.length))
          .on('end', () => (left === 0 ? resolve() : reject(new Error(`a body lacks ${left} bytes`))))
          .on('error', reject);
      })
        .on('error', reject)
        .end();
    });
  }

  /** As many GETs, `atOnce` of them under way at any time. */
  async getMany(bytes: number, requests: number, atOnce: number): Promise<void> {
    let left = requests;
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await this.get(bytes);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  /** Dials, verifies the certificate in a full handshake, and hangs up. */
  async shakeHands(): Promise<void> {
    const stream = await this.#contestant.dial('https');
    const socket: TLSSocket = connect({
      socket: stream,
      host: this.#contestant.course.endpoints.host,
      secureContext: this.#secureContext,
    });
    try {
      await once(socket, 'secureConnect');
    } finally {
      socket.destroy();
      stream.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}
