import type { Channels } from './channels.js';
import type { Child } from './child.js';
import { type Wanted } from './child.js';
import { exitStatus, internalError, type Status } from './status.js';

/** The channels of exec and attach (k8s.io/kubelet, pkg/cri/streaming/remotecommand/websocket.go). */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const ERROR = 3;
export const RESIZE = 4;

/** What the query of exec and attach asks for. */
export interface StreamQuery extends Wanted {
  readonly tty: boolean;
}

/** The first words to a client: they tell that it is connected, on the lowest channel that there is to read. */
export function greet(channels: Channels, { stdout, stderr }: StreamQuery): void {
  void channels.send(stdout ? STDOUT : stderr ? STDERR : ERROR);
}

/** The last words, after all output, and the end of the connection. */
export async function bidFarewell(channels: Channels, status: Status): Promise<void> {
  await channels.send(ERROR, JSON.stringify(status));
  await channels.close();
}

/** Runs a command for a client, until it ends or the client is gone. */
export async function exec(channels: Channels, child: Child, command: readonly string[]): Promise<void> {
  const { stdin, stdout, stderr } = child;
  const outputs: Promise<void>[] = [];
  if (stdin !== null) channels.receiveInto(stdin, STDIN);
  if (stdout !== null) outputs.push(channels.sendFrom(stdout, STDOUT));
  if (stderr !== null) outputs.push(channels.sendFrom(stderr, STDERR));
  void channels.gone.then(() => child.kill());
  const status = await child.ended.then(
    (code) => exitStatus(code, command),
    (error: unknown) => internalError(notStarted(command, error)),
  );
  await Promise.all(outputs);
  await bidFarewell(channels, status);
}

/** As containerd and runc say it. */
function notStarted([program = '']: readonly string[], error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === 'ENOENT'
      ? 'executable file not found in $PATH'
      : code === 'EACCES'
        ? 'permission denied'
        : message;
  return (
    'error executing command in container: failed to exec in container: failed to start exec: ' +
    `OCI runtime exec failed: exec failed: unable to start container process: exec: ${JSON.stringify(program)}: ${why}: unknown`
  );
}
