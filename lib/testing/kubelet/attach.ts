import type { Channels } from './channels.js';
import type { Container } from './container.js';
import { bidFarewell, resizeBy, STDERR, STDIN, STDOUT, type StreamQuery } from './exec.js';
import { SUCCESS } from './status.js';

/**
 * Attaches a client to what runs in a container, from now until it ends or the client is gone. Where stdin is not for one client only, who
 * has ended theirs is done, too (containerd, internal/cri/io/container_io.go, Attach).
 */
export async function attach(channels: Channels, container: Container, wanted: StreamQuery): Promise<void> {
  const { child, outputs, ended } = container.current;
  const stdout = wanted.stdout ? outputs.stdout.listen() : undefined;
  const stderr = wanted.stderr ? outputs.stderr.listen() : undefined;
  const stdin = wanted.stdin ? child?.stdin : undefined;
  const sent: Promise<void>[] = [];
  if (stdout !== undefined) sent.push(channels.sendFrom(stdout, STDOUT));
  if (stderr !== undefined) sent.push(channels.sendFrom(stderr, STDERR));
  const leave = (): void => {
    stdout?.destroy();
    stderr?.destroy();
  };
  const left = new Promise<void>((resolve) => {
    const onEnd = (): void => {
      if (container.stdinOnce) return;
      leave();
      resolve();
    };
    if (stdin) channels.receiveInto(stdin, STDIN, { end: container.stdinOnce, onEnd });
  });
  resizeBy(channels, child);
  void channels.gone.then(() => {
    leave();
    if (container.stdinOnce) stdin?.end();
  });
  await Promise.race([Promise.all([Promise.race([ended, left]), ...sent]), channels.gone]);
  await bidFarewell(channels, SUCCESS);
}
