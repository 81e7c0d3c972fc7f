import type { KeyType } from './ssh-keys.js';

/** Where the endpoints of a test listen, and how the sshd reaches them. */
export interface EndpointPlace {
  /** Address that endpoints are bound to. */
  readonly listenHost: string;
  /** Host by which the sshd's machine reaches them. */
  readonly endpointHost: string;
}

/** Endpoints and sshd on one machine. */
export const LOOPBACK: EndpointPlace = { listenHost: '127.0.0.1', endpointHost: '127.0.0.1' };

/** How an sshd is to be started. */
export interface SshdOptions {
  /** Lines of sshd_config that go before the harness's own: sshd takes the first value it finds. */
  readonly config?: readonly string[] | undefined;
  /** A loopback address. Default: 127.0.0.1. */
  readonly listenAddress?: string | undefined;
  /** One host key of each type. Default: ed25519. */
  readonly hostKeyTypes?: readonly KeyType[] | undefined;
  /** Type of the user's key. Default: ed25519. */
  readonly userKeyType?: KeyType | undefined;
  /** Options before the user's key in authorized_keys, such as `restrict,port-forwarding`. Default: none. */
  readonly keyOptions?: string | undefined;
  /** More lines for authorized_keys. */
  readonly authorizedKeys?: readonly string[] | undefined;
  /** Limit of open files (`ulimit -n`) of each of its processes. Default: as this process has it. */
  readonly maxOpenFiles?: number | undefined;
}

/** What may be different after a restart. */
export interface RestartOptions {
  /** Replaces the lines given at the start. */
  readonly config?: readonly string[] | undefined;
  /** Makes new host keys: the server then looks like another machine. Default: false. */
  readonly newHostKeys?: boolean | undefined;
}

/** What a client needs to log in. */
export interface SshAccess {
  readonly address: string;
  readonly port: number;
  readonly username: string;
  /** OpenSSH private key, not encrypted. */
  readonly privateKey: string;
  /** Public host keys, `type base64`. */
  readonly hostKeys: readonly string[];
  /** The same as text of a known_hosts file. */
  readonly knownHosts: string;
}

/**
 * A real sshd under test. What it can do beyond being reached depends on the target; a test that needs more
 * says so with `describeFor`.
 */
export interface Sshd extends SshAccess, EndpointPlace, AsyncDisposable {
  /** Everything it has logged so far. Needs `log`. */
  readonly log: readonly string[];
  /** Waits for a log line that matches, among those from index `since` (0) on. Needs `log`. */
  waitForLog(pattern: RegExp, options?: { since?: number; timeoutMs?: number }): Promise<RegExpExecArray>;
  /** How many connections it serves, those not yet authenticated included. Needs `processes`. */
  connectionCount(): Promise<number>;
  /** All processes that serve connections, parents before children. Needs `processes`. */
  connectionPids(): Promise<number[]>;
  /**
   * Kills the processes of all connections there are, with SIGKILL unless told otherwise, and waits for their
   * end. Needs `processes`.
   */
  killConnections(signal?: NodeJS.Signals): Promise<void>;
  /**
   * SIGSTOP to the server and to every connection: the kernel still accepts, nobody answers. Needs
   * `processes`.
   */
  stopAll(): Promise<void>;
  /** SIGCONT to the same. Needs `processes`. */
  contAll(): Promise<void>;
  /** Kills the server with all its connections; its port then refuses. Needs `restart`. */
  stop(): Promise<void>;
  /** Stops it, if it runs, and starts it again on the same port. Needs `restart`. */
  restart(options?: RestartOptions): Promise<void>;
  /** Ends it and removes everything it left. */
  close(): Promise<void>;
}
