import { spelledOut } from '../../printable.js';
import { StatusError } from '../status-error.js';

/** More than any name that can be right takes. */
const MAX_QUOTED = 300;

/** A caller's text in the message of a Status, as Go's `%q` writes what is no rubbish. */
export function quoted(text: string): string {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  return spelledOut(JSON.stringify(cut));
}

export const badRequest = (message: string): StatusError => new StatusError(400, 'BadRequest', message);

export const unavailable = (message: string): StatusError =>
  new StatusError(503, 'ServiceUnavailable', message);

export const addressNotAllowed = (): StatusError => badRequest('address not allowed');

/** As `errors.NewNotFound` of apimachinery, for a resource of core/v1. */
export function notFound(resource: 'nodes' | 'pods' | 'services', name: string): StatusError {
  const details = { name, kind: resource };
  return new StatusError(404, 'NotFound', `${resource} ${quoted(name)} not found`, { details });
}
