import { hasBearer } from '../access/identity-headers.js';
import { StatusError } from '../status-error.js';
import { membersOf } from './is-upgrade.js';

/**
 * The lines of `Sec-WebSocket-Protocol` without tokens; a line with nothing left is left out, any other stays as it is.
 *
 * @throws {@link StatusError} 400 when nothing but tokens is offered
 */
export function withoutBearer(lines: readonly string[]): readonly string[] {
  const kept = lines.flatMap((line) => {
    const offered = membersOf(line);
    const others = offered.filter((name) => !hasBearer(name));
    if (others.length === offered.length) return [line];
    return others.length === 0 ? [] : [others.join(', ')];
  });
  if (kept.length === 0 && lines.length > 0)
    throw new StatusError(400, 'BadRequest', 'missing additional subprotocol');
  return kept;
}
