import type { ProxyRequest } from '../exchange.js';
import { StatusError } from '../status-error.js';

/**
 * Whether a request asks to go on in another protocol: `upgrade` is among what `Connection` lists, in any case and on any line.
 *
 * Node emits `upgrade` for nearly all of them. `request` it emits when `Upgrade` is missing, when a tab stands in `Connection`, or when the
 * server listens for no `upgrade`. There is no other protocol to go on in then: it is a plain request, and one for which there is no plain
 * answer gets {@link upgradeRequired}.
 */
export function isUpgrade({ headers }: Pick<ProxyRequest, 'headers'>): boolean {
  return membersOf(headers.connection ?? '').some((option) => option.toLowerCase() === 'upgrade');
}

/** The answer to a plain request for what only streams (apimachinery, pkg/util/proxy/upgradeaware.go). */
export function upgradeRequired(): StatusError {
  return new StatusError(400, 'BadRequest', 'Upgrade request required');
}

/** The members of a field that is a list (RFC 9110 §5.6.1). */
export function membersOf(value: string): string[] {
  return value
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}
