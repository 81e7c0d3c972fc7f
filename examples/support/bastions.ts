import type { NodeSpec } from 'tunnel-dialer';
import { integer, UsageError, type CommandLine } from './command-line.js';

/** The jump hosts that the command line names, that nearest to us first. @throws UsageError */
export function bastionsFrom(
  line: CommandLine<{ bastion: { type: 'string'; multiple: true } }>,
): readonly NodeSpec[] {
  return line.texts('bastion').map(bastionOf);
}

function bastionOf(text: string): NodeSpec {
  const [, name, username, bracketed, plain, port = '22'] =
    /^([^=]+)=(?:([^@]+)@)?(?:\[(.+)\]|([^:]+))(?::(.*))?$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  if (name !== undefined && address !== undefined)
    return { name, address, port: integer('the port of --bastion', port, 1, 65535), username };
  throw new UsageError(
    `--bastion must be NAME=ADDRESS or NAME=USER@ADDRESS:PORT, got ${JSON.stringify(text)}`,
  );
}
