import { TunnelError, type ErrorContext, type KubeletErrorCode } from '../../errors.js';
import { printable } from '../../printable.js';
import { MAX_SHOWN } from '../errors.js';

/** Every `code` of a {@link StreamingError}. */
export type StreamingErrorCode = Extract<
  KubeletErrorCode,
  | 'ERR_KUBELET_CLOSED'
  | 'ERR_KUBELET_COMMAND'
  | 'ERR_KUBELET_NO_HALF_CLOSE'
  | 'ERR_KUBELET_NO_WS'
  | 'ERR_KUBELET_PORT_FORWARD'
  | 'ERR_KUBELET_PROTOCOL'
>;

/** What a kubelet says of a command that failed (metav1.Status). */
export interface CommandFailure {
  /** A word for it, such as `InternalError`. */
  reason?: string | undefined;
  /** A code as in HTTP. */
  status?: number | undefined;
}

/**
 * An exec, attach or port-forward that was open failed. A kubelet that refuses to open one is a {@link KubeletError}, a lost tunnel a
 * {@link TransportError} as everywhere.
 *
 * | code | when |
 * |---|---|
 * | `ERR_KUBELET_COMMAND` | the command was not run, or not to its end; `reason` and `status` as the kubelet gives them |
 * | `ERR_KUBELET_PORT_FORWARD` | the pod could not be connected, or the connection to it broke |
 * | `ERR_KUBELET_NO_HALF_CLOSE` | writing was ended where the protocol cannot say so |
 * | `ERR_KUBELET_PROTOCOL` | what came is not the protocol that was asked for |
 * | `ERR_KUBELET_CLOSED` | closed by us before its end, or by its end before all was sent |
 * | `ERR_KUBELET_NO_WS` | the package `ws` is not installed |
 */
export class StreamingError extends TunnelError {
  declare readonly code: StreamingErrorCode;
  declare readonly reason?: string;
  declare readonly status?: number;

  constructor(code: StreamingErrorCode, message: string, context: ErrorContext & CommandFailure = {}) {
    super(code, message, context);
    const { reason, status } = context;
    Object.assign(this, reason !== undefined && { reason }, status !== undefined && { status });
  }
}

/** Text of a kubelet's, fit for a message. */
export const shown = (text: string): string => printable(text, MAX_SHOWN);

export const protocolError = (node: string, problem: string, cause?: unknown): StreamingError =>
  new StreamingError('ERR_KUBELET_PROTOCOL', `the kubelet of ${node} ${problem}`, { node, cause });
