import { Client } from 'ssh2';
import type { AbortableSignal } from '../abortable-signal.js';
import { DialTimeoutError } from '../errors.js';
import { algorithmsFor } from './algorithms.js';
import type { Credentials } from './login/credentials.js';
import { connectFailure, describeNode } from './failures.js';
import { HostKeyCheck } from './host-key-check.js';
import type { HostIdentity, HostKeyVerifier } from './host-keys/verifier.js';
import { jump, type JumpHost } from './jump-host.js';
import { silenceError, whenOver, type Patience } from './patience.js';
import { RequestGuard } from './request-guard.js';
import { answerRequests, identifier, keepLess, remoteSoftware, shareOffer } from './ssh2-internals.js';
import { Transport, type ByteStream } from './transport.js';

/** How to reach and log in to one node's sshd. */
export interface SshTarget {
  /** Name of the node, for messages. */
  readonly node: string;
  /** Whose host key is judged; its first name is the address that is connected to. */
  readonly host: HostIdentity;
  readonly username: string;
  readonly credentials: Credentials;
  readonly hostKeys: HostKeyVerifier;
  /** One deadline for TCP, key exchange and authentication together. */
  readonly connectMs: number;
  /** What carries the connection, unless the address is connected to by TCP. */
  readonly via?: JumpHost | undefined;
}

/** An authenticated SSH transport. */
export interface Link {
  readonly client: Client;
  readonly transport: Transport;
  /** The node's software version, such as `OpenSSH_9.2p1`. */
  readonly software: string;
}

const identify = identifier('tunnel-dialer');

const addressOf = (target: SshTarget): string => target.host.names[0] ?? '';

/**
 * Makes an authenticated connection: TCP or a stream through the jump host, key exchange, host key, login.
 *
 * @throws the signal's reason, or a {@link TunnelError}: `HostKeyError`, `AuthenticationError`, `DialTimeoutError` or `TransportError`.
 *   Nothing is left open then.
 */
export async function handshake(
  target: SshTarget,
  signal: AbortableSignal,
  patience?: Patience,
): Promise<Link> {
  if (signal.aborted) throw signal.reason;
  const { node, host, connectMs, via } = target;
  const address = addressOf(target);
  if (via === undefined)
    return logIn(target, Transport.connect(address, host.port), connectMs, signal, patience);
  const startedAt = performance.now();
  const stream = await jump(via, { node, address, port: host.port }, connectMs, signal, patience);
  // Its connection may be ended before ssh2 listens to it, and that its error has no listener would end the process.
  stream.on('error', ignore);
  const leftMs = Math.max(1, connectMs - (performance.now() - startedAt));
  return logIn(target, Transport.over(stream), leftMs, signal, patience);
}

function logIn(
  target: SshTarget,
  transport: Transport,
  timeoutMs: number,
  signal: AbortableSignal,
  patience: Patience | undefined,
): Promise<Link> {
  const { node, host, credentials, username, connectMs } = target;
  const address = addressOf(target);
  const socket = transport.stream;
  const client = new Client();
  const hostKey = new HostKeyCheck(target);
  const where = describeNode({ node, address, port: host.port });
  const login = credentials.attempt(username);

  return new Promise<Link>((resolve, reject) => {
    let confirmed: Promise<void> | undefined;
    const settle = (): void => {
      clearTimeout(deadline);
      clearInterval(impatience);
      signal.removeEventListener('abort', onAbort);
      client.off('close', onClose).off('handshake', onHandshake).off('ready', onReady).off('error', onError);
    };
    const fail = (error: unknown): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    const onError = (error: Error): void => {
      // The agent failing is not the end: other methods may be left.
      if ((error as Error & { level?: string }).level === 'agent') {
        login.agentFailed(error);
        return;
      }
      const { tried, accepted } = login;
      const identified = remoteSoftware(client) !== '';
      fail(
        hostKey.failure ??
          connectFailure(error, { node, address, port: host.port, username, identified, tried, accepted }),
      );
    };
    const onClose = (): void => onError(new Error('the connection was closed before the handshake was over'));
    const onHandshake = (): void => {
      confirmed ??= hostKey.confirm();
      confirmed.catch(fail);
    };
    const onReady = (): void => {
      // Always after 'handshake'; the connection is not used before its key is on record.
      void confirmed?.then(() => {
        settle();
        resolve({ client, transport, software: remoteSoftware(client) });
      }, fail);
    };
    const onDeadline = (): void => {
      const what = socket.connecting
        ? 'did not answer'
        : 'accepted the connection but did not finish the SSH handshake';
      fail(
        new DialTimeoutError('connect', `${where} ${what} within ${connectMs} ms`, {
          node,
        }),
      );
    };

    const deadline = setTimeout(onDeadline, timeoutMs);
    const impatience =
      patience &&
      whenOver(patience, () => {
        if (socket.bytesRead > 0) clearInterval(impatience);
        else fail(silenceError(where, node, patience));
      });
    signal.addEventListener('abort', onAbort);
    // ssh2 may emit several errors for one failure, some of them late; without a listener each would end the process.
    client.on('error', ignore);
    client.on('error', onError).on('close', onClose).on('handshake', onHandshake).on('ready', onReady);
    try {
      if (signal.aborted) throw signal.reason;
      client.connect({
        sock: socket,
        username,
        authHandler: login.authHandler,
        hostVerifier: hostKey.judge,
        algorithms: algorithmsFor(target.hostKeys.keyTypes(host)),
        readyTimeout: 0,
        keepaliveInterval: 0,
      });
      answerRequests(client, guardOf(socket));
      identify(client);
      shareOffer(client);
      keepLess(client);
    } catch (error) {
      fail(error);
    }
  });
}

/** Apart, because it lives as long as the connection and would keep all of the handshake. */
const guardOf = (stream: ByteStream): RequestGuard =>
  new RequestGuard((problem) => stream.destroy(new Error(`the node ${problem}`)));

const ignore = (): void => undefined;
