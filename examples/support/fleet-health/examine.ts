import https from 'node:https';
import { connect } from 'node:net';
import { once } from 'node:events';
import {
  AuthenticationError,
  ChannelRefusedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  NodeUnavailableError,
  TunnelError,
  type NodeSpec,
  type TunnelDialer,
} from 'tunnel-dialer';
import { httpsAgent, type TunnelHttpsAgentOptions } from 'tunnel-dialer/http';

/** What is examined, in this order; a step that fails is the last. */
export const STEPS = ['tcp', 'host key', 'login', 'forwarding', 'kubelet'] as const;

export type Step = (typeof STEPS)[number];

/** What was found of a node. */
export interface Finding {
  readonly name: string;
  /** Where its sshd is; not known of a node that its source leaves out, which is not examined. */
  readonly address?: string;
  readonly port?: number;
  readonly isWell: boolean;
  /**
   * How long it took to connect, unless there is a jump host before it, to open a stream, and to get an answer, unless it is a bastion; in
   * milliseconds, as far as it came.
   */
  readonly tcpMs?: number;
  readonly dialMs?: number;
  readonly kubeletMs?: number;
  /** The step that failed, if it was examined. */
  readonly failed?: Step;
  readonly problem?: string;
  readonly hint?: string;
}

export interface ExamineOptions {
  /** Of all nodes, with `minConnections: 0`. */
  readonly dialer: TunnelDialer;
  readonly tls: TunnelHttpsAgentOptions;
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The kubelet answered, but not that it is well. */
class KubeletError extends Error {
  readonly hint: string | undefined;

  constructor(path: string, status: number) {
    super(`the kubelet answered ${path} with ${status}`);
    if (status === 401)
      this.hint = 'identify yourself: --cert and --client-key with a certificate of its client CA';
    if (status === 403) this.hint = 'this user may not use the kubelet: bind it to system:kubelet-api-admin';
  }
}

/** Examines one node, step by step. */
export async function examine(node: NodeSpec, options: ExamineOptions): Promise<Finding> {
  const { name, address, port = 22, selfAddress = address, kubeletPort = 10250, via, bastion } = node;
  const found = { name, address, port };
  const times: { tcpMs?: number; dialMs?: number; kubeletMs?: number } = {};
  const fails = (failed: Step, error: unknown, hint?: string): Finding => {
    options.signal.throwIfAborted();
    const problem = printable((error as Error).message);
    return { ...found, ...times, isWell: false, failed, problem, ...(hint !== undefined && { hint }) };
  };

  try {
    // What is behind a jump host is reached when it is dialled.
    if (via === undefined) times.tcpMs = await timed(() => reach(address, port, options));
  } catch (error) {
    return fails('tcp', error, `is the machine up, its address right, and port ${port} open to us?`);
  }
  try {
    const { dialer, timeoutMs, signal } = options;
    times.dialMs = await timed(async () => {
      const stream = await dialer.dial(selfAddress, bastion === true ? port : kubeletPort, {
        node: name,
        timeoutMs,
        signal,
      });
      stream.destroy();
    });
  } catch (error) {
    return fails(...stepOf(error));
  }
  if (bastion === true) return { ...found, ...times, isWell: true };
  try {
    times.kubeletMs = await timed(() => askKubelet(name, selfAddress, kubeletPort, options));
  } catch (error) {
    return fails('kubelet', error, hintForKubelet(error));
  }
  return { ...found, ...times, isWell: true };
}

/** What is found of a node that its source knows but leaves out. */
export const notExamined = (name: string, reason: string): Finding => ({
  name: printable(name),
  isWell: false,
  problem: printable(reason),
});

/** Which step an error of a dial belongs to. The library's messages say what to do. */
function stepOf(error: unknown): [Step, unknown, string?] {
  const cause = error instanceof NodeUnavailableError && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof AuthenticationError) return ['login', cause];
  if (cause instanceof ChannelRefusedError) return ['forwarding', cause];
  const isEndpoint =
    cause instanceof EndpointError || (cause instanceof DialTimeoutError && cause.phase === 'open');
  if (isEndpoint) return ['kubelet', cause, 'is the kubelet up? selfAddress says where the node finds it'];
  if (cause instanceof HostKeyError) return ['host key', cause];
  const isBehindTrouble = cause instanceof TunnelError && cause.cause instanceof TunnelError;
  if (isBehindTrouble) return ['tcp', cause];
  return ['host key', cause, 'there was no SSH handshake: is it sshd that listens there?'];
}

async function timed(act: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await act();
  return performance.now() - startedAt;
}

async function reach(
  host: string,
  port: number,
  { timeoutMs, signal }: Pick<ExamineOptions, 'timeoutMs' | 'signal'>,
): Promise<void> {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error;
    throw new Error(`no answer from ${host}:${port} within ${timeoutMs / 1000} s`, { cause: error });
  } finally {
    socket.destroy();
  }
}

async function askKubelet(node: string, host: string, port: number, options: ExamineOptions): Promise<void> {
  const { dialer, tls, path, timeoutMs, signal } = options;
  const agent = httpsAgent(dialer, { ...tls, node, keepAlive: false, tlsHandshakeTimeoutMs: timeoutMs });
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const status = await new Promise<number>((resolve, reject) => {
      https
        .get({ agent, host, port, path, signal: AbortSignal.any([signal, limit]) }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
        .on('error', (error) =>
          reject(
            limit.aborted ? new Error(`no answer from the kubelet within ${timeoutMs / 1000} s`) : error,
          ),
        );
    });
    if (status !== 200) throw new KubeletError(path, status);
  } finally {
    agent.destroy();
  }
}

function hintForKubelet(error: unknown): string | undefined {
  if (error instanceof KubeletError) return error.hint;
  const { code } = error as { code?: unknown };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'selfAddress has to be in its certificate';
  if (/SELF_SIGNED|UNABLE_TO|CERT/.test(String(code)))
    return '--ca takes the authority of its certificate, or the certificate itself';
  return undefined;
}

/** Some texts come from the node, and may have been made to confuse a terminal. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
