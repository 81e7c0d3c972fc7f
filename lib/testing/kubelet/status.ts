/** What ends an exec or attach: a `metav1.Status` on the error channel (k8s.io/kubelet, pkg/cri/streaming/remotecommand). */
export type Status = Readonly<Record<string, unknown>>;

export const SUCCESS: Status = { metadata: {}, status: 'Success' };

/** How a command ended: with this exit code. */
export function exitStatus(code: number, command: readonly string[]): Status {
  if (code === 0) return SUCCESS;
  const what = `error executing command [${command.join(' ')}], exit code ${code}`;
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: ${what}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

/** A command that could not be run at all. */
export function internalError(message: string): Status {
  return {
    metadata: {},
    status: 'Failure',
    message: `Internal error occurred: ${message}`,
    reason: 'InternalError',
    details: { causes: [{ message }] },
    code: 500,
  };
}

/** All that protocols before v4 say of an end: nothing, if all went well. */
export function messageOf(status: Buffer | string): string {
  return (JSON.parse(status.toString()) as { readonly message?: string }).message ?? '';
}
