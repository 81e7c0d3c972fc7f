import { InvalidOptionError } from '../errors.js';

/**
 * Makes something whose options are a group among others: what it says of `server` is said of `upstream.server`.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function atOption<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error;
    const { option, message, cause } = error;
    const name = option === 'options' ? path : `${path}.${option}`;
    const because = cause === undefined ? {} : { cause };
    throw new InvalidOptionError(name, message.slice(option.length + 1), because);
  }
}
