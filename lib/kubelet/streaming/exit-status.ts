import { protocolError, shown, StreamingError } from './errors.js';

interface Cause {
  readonly reason?: unknown;
  readonly message?: unknown;
}

/** How a command ended. */
export interface RemoteExit {
  /** The command's exit code; 0 when an attach has come to its end, whatever the container's own. */
  readonly code: number;
  /** The kubelet's words for a code other than 0. */
  readonly message?: string;
}

/** What the kubelet's last word means. */
export type Outcome =
  | { readonly kind: 'exit'; readonly exit: RemoteExit }
  | { readonly kind: 'failure'; readonly error: StreamingError };

/** What is read of a metav1.Status. */
interface Status {
  readonly status?: unknown;
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly code?: unknown;
  readonly details?: { readonly causes?: unknown } | null;
}

/**
 * Reads what comes on the error channel: since v4 a metav1.Status in JSON, whose reason `NonZeroExitCode` has a cause `ExitCode`
 * (apimachinery/pkg/util/remotecommand/constants.go); before, and from what stands between, a text.
 */
export function readOutcome(node: string, data: Buffer): Outcome {
  const text = data.toString();
  const status = parse(text);
  if (status === undefined) return failure(node, text);
  if (status.status === 'Success') return { kind: 'exit', exit: { code: 0 } };
  const message = typeof status.message === 'string' ? status.message : '';
  if (status.reason !== 'NonZeroExitCode') return failure(node, message, status);
  const causes: readonly (Cause | null)[] = Array.isArray(status.details?.causes)
    ? status.details.causes
    : [];
  const code = causes.find((cause) => cause?.reason === 'ExitCode')?.message;
  if (typeof code === 'string' && /^-?\d{1,10}$/.test(code)) {
    return { kind: 'exit', exit: { code: Number(code), message: shown(message) } };
  }
  return {
    kind: 'failure',
    error: protocolError(node, 'told of a command that failed, but not its exit code'),
  };
}

function parse(text: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isStatus = typeof value === 'object' && value !== null && 'status' in value;
    return isStatus ? value : undefined;
  } catch {
    return undefined;
  }
}

function failure(node: string, text: string, { reason, code }: Status = {}): Outcome {
  const said = shown(text);
  const problem = `the kubelet of ${node} could not run the command to its end${said === '' ? '' : `: ${said}`}`;
  const error = new StreamingError('ERR_KUBELET_COMMAND', problem, {
    node,
    reason: typeof reason === 'string' ? shown(reason) : undefined,
    status: typeof code === 'number' ? code : undefined,
  });
  return { kind: 'failure', error };
}
