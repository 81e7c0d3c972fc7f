import { StatusError } from '../status-error.js';

/** A boolean as Kubernetes reads one: what is there is true, unless it says 0 or false (apimachinery, pkg/runtime, conversion). */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}

/** @throws {@link StatusError} 400 when it is no whole number */
export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (/^[+-]?\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new StatusError(400, 'BadRequest', `${name} must be a whole number`);
}
