import { InvalidOptionError } from '../errors.js';
import { arrayOf, describeKind, type Check } from '../validation.js';

/** PEM. */
export type Pem = string | Buffer;

export const pem: Check<Pem> = (value, path) => {
  if ((typeof value === 'string' && value !== '') || Buffer.isBuffer(value)) return value;
  throw new InvalidOptionError(path, `must be PEM as a string or Buffer, got ${describeKind(value)}`);
};

export const authorities: Check<Pem | readonly Pem[]> = (value, path) =>
  Array.isArray(value) ? arrayOf(pem)(value, path) : pem(value, path);
