import type { Socket } from 'node:net';
import ssh2, { type Connection, type ServerChannel, type TcpipRequestInfo } from 'ssh2';
import { authenticate, type LoginRules } from './authentication.js';
import type { HandshakeFault } from './faults.js';
import { Forward, type ForwardRules } from './forward.js';
import type { RawChannel } from './hostile.js';
import { rawChannel, refuseOpen, sendDisconnect } from './ssh2-internals.js';

/** What a connection is told by its node. */
export interface ConnectionRules extends ForwardRules, LoginRules {
  readonly ident: string;
  /** PEM text of the host key that this connection shows. */
  readonly hostKey: string;
}

/** What a connection tells its node. */
export interface ConnectionEvents {
  handshake(): void;
  rekeyed(): void;
  opened(): void;
  /** Something that can be counted has changed. */
  changed(): void;
  readonly log: (line: string) => void;
}

/** `setInterval`'s longest delay, because ssh2 has no way to switch its keepalive off; sshd has none by default. */
const noKeepaliveMs = 2 ** 31 - 1;

/** One TCP connection to the node, and the SSH connection on it once there is one. */
export class NodeConnection {
  readonly #socket: Socket;
  readonly #rules: ConnectionRules;
  readonly #events: ConnectionEvents;
  readonly #forwards = new Set<Forward>();
  #client: Connection | undefined;
  #loggedIn = false;
  #paused = false;
  #over = false;

  constructor(socket: Socket, rules: ConnectionRules, events: ConnectionEvents) {
    this.#socket = socket;
    this.#rules = rules;
    this.#events = events;
    socket.on('error', (error) => events.log(`socket error: ${error.message}`));
    // Before ssh2's own listeners: they make its connection unusable, and then nothing may be written to its channels.
    socket.once('end', () => this.#finish());
    socket.once('close', () => this.#finish());
    // ssh2 ends its side when it cannot go on, and waits for the client; sshd exits.
    socket.once('finish', () => {
      if (!this.#over) socket.destroy();
    });
    socket.on('resume', () => {
      if (this.#paused) socket.pause();
    });
  }

  /** Whether the connection has not been lost, cut or closed. */
  get isOpen(): boolean {
    return !this.#over;
  }

  /** How many channels are open. */
  get channels(): number {
    return [...this.#forwards].filter(({ channel }) => channel !== undefined).length;
  }

  /** How many channel opens wait for an answer. */
  get pendingOpens(): number {
    return [...this.#forwards].filter((forward) => forward.isPending).length;
  }

  /** The channels that are open, to misbehave on. */
  rawChannels(): readonly RawChannel[] {
    const client = this.#client;
    if (client === undefined) return [];
    return [...this.#forwards].flatMap(({ channel }) => (channel ? rawChannel(client, channel) : []));
  }

  /** Begins to speak, as the fault says. */
  open(fault: HandshakeFault): void {
    if (this.#over) return;
    switch (fault.kind) {
      case 'none':
        this.#speakSsh();
        return;
      case 'stall':
        this.#discardInput();
        if (fault.ident) this.#socket.write(`SSH-2.0-${this.#rules.ident}\r\n`);
        return;
      case 'banner':
        this.#discardInput();
        this.#sendBanner(fault.text, fault.endless);
    }
  }

  /** Stops reading and writing, so that the kernel answers and nobody else does. */
  pause(): void {
    if (this.#paused || this.#over) return;
    this.#paused = true;
    this.#socket.cork();
    this.#socket.pause();
  }

  /** Goes on where `pause` stopped. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.uncork();
    // Without a listener ssh2 has not begun to read; it will by itself, and would miss what flows before.
    if (this.#socket.listenerCount('data') > 0) this.#socket.resume();
  }

  /** Begins a key exchange, and resolves when it is done. A connection that is not logged in has nothing to exchange yet. */
  async rekey(): Promise<void> {
    const client = this.#client;
    if (client === undefined || !this.#loggedIn || this.#over) return;
    await new Promise<void>((resolve, reject) => {
      const lost = () => reject(new Error('the connection was lost before the key exchange was done'));
      this.#socket.once('close', lost);
      client.rekey((error?: Error) => {
        this.#socket.off('close', lost);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** Ends the TCP connection without a word of SSH: with a FIN, or with an RST. */
  cut(how: 'fin' | 'rst'): void {
    if (this.#over) return;
    this.#paused = false;
    this.#finish();
    if (how === 'rst') {
      this.#socket.resetAndDestroy();
      return;
    }
    // Unread input would turn the FIN into an RST, so it is read to the end.
    this.#socket.removeAllListeners('data');
    this.#discardInput();
    this.#socket.end();
  }

  /** Says SSH_MSG_DISCONNECT, then ends the TCP connection. */
  disconnect(reason: number, description: string): void {
    if (this.#client !== undefined && !this.#over) sendDisconnect(this.#client, reason, description);
    this.cut('fin');
  }

  #speakSsh(): void {
    const { hostKey, ident } = this.#rules;
    // A server of its own for each connection: each can show another host key, and the node keeps the socket in its hands.
    const server = new ssh2.Server({ hostKeys: [hostKey], ident, keepaliveInterval: noKeepaliveMs });
    server.on('connection', (client) => this.#greet(client));
    server.injectSocket(this.#socket);
  }

  #greet(client: Connection): void {
    this.#client = client;
    client.on('error', (error) => this.#fail(error));
    if (this.#over) return;
    client.once('handshake', () => {
      this.#events.handshake();
      client.on('rekey', () => this.#events.rekeyed());
    });
    client.on('authentication', (attempt) => authenticate(attempt, this.#rules, this.#events.log));
    client.on('ready', () => {
      this.#loggedIn = true;
      this.#events.changed();
    });
    client.on('tcpip', (accept, reject, info) => this.#forward(client, accept, reject, info));
  }

  #forward(
    client: Connection,
    accept: () => ServerChannel,
    reject: () => void,
    { destIP: host, destPort: port }: TcpipRequestInfo,
  ): void {
    const at = `${host}:${port}`;
    const forward = new Forward(
      {
        host,
        port,
        accept: () => this.#attempt(accept),
        refuse: (reason, description) => {
          this.#attempt(() => refuseOpen(client, reject, reason, description));
        },
      },
      this.#rules,
      {
        opened: () => {
          this.#events.log(`channel to ${at} opened`);
          this.#events.opened();
        },
        refused: (reason, text) => this.#events.log(`channel to ${at} refused: ${text} (reason ${reason})`),
        closed: () => {
          this.#forwards.delete(forward);
          this.#events.changed();
        },
        broken: (error) => this.#fail(error),
      },
    );
    this.#forwards.add(forward);
    forward.begin();
    this.#events.changed();
  }

  /** Calls into ssh2 while it can be called, and survives what it throws. */
  #attempt<T>(act: () => T): T | undefined {
    if (this.#over) return undefined;
    try {
      return act();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#events.log(`error: ${String(error)}`);
    this.#finish();
    this.#socket.destroySoon();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    for (const forward of [...this.#forwards]) forward.abandon();
    this.#events.changed();
  }

  #discardInput(): void {
    this.#socket.on('data', () => undefined);
    this.#socket.resume();
  }

  #sendBanner(text: string, endless: boolean): void {
    this.#socket.write(text, (error) => {
      if (!error && endless && !this.#over) setImmediate(() => this.#sendBanner(text, endless));
    });
  }
}
