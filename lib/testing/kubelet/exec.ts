import type { Channels } from './channels.js';
import type { Child } from './child.js';
import { type Wanted } from './child.js';
import { parseSize } from './terminal.js';
import { exitStatus, internalError, type Status } from './status.js';

/** The channels of exec and attach (k8s.io/kubelet, pkg/cri/streaming/remotecommand/websocket.go). */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const ERROR = 3;
export const RESIZE = 4;

/** What the query of exec and attach asks for. */
export type StreamQuery = Wanted;

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
export async function exec(
  channels: Channels,
  command: readonly string[],
  start: () => Child,
): Promise<void> {
  let status: Status;
  try {
    status = exitStatus(await run(channels, start()), command);
  } catch (error) {
    status = internalError(notStarted(command, error));
  }
  await bidFarewell(channels, status);
}

async function run(channels: Channels, child: Child): Promise<number> {
  const { stdin, stdout, stderr } = child;
  const outputs: Promise<void>[] = [];
  if (stdin !== null) channels.receiveInto(stdin, STDIN);
  if (stdout !== null) outputs.push(channels.sendFrom(stdout, STDOUT));
  if (stderr !== null) outputs.push(channels.sendFrom(stderr, STDERR));
  resizeBy(channels, child);
  void channels.gone.then(() => child.kill());
  const code = await child.ended;
  await Promise.all(outputs);
  return code;
}

/** Lets the client say how big its terminal is. */
export function resizeBy(channels: Channels, child: Child | undefined): void {
  channels.receive(RESIZE, {
    data: (bytes) => {
      const size = parseSize(bytes);
      if (size !== undefined) child?.terminal?.resize(size);
    },
    end: () => undefined,
  });
}

/** As containerd and runc say it. */
function notStarted([program = '']: readonly string[], error: unknown): string {
  const { code, message, path } = error as NodeJS.ErrnoException;
  if (path === 'script' && program !== path) return 'a terminal needs script, which is part of util-linux';
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
