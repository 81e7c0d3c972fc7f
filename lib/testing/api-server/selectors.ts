import type { ApiObject } from './objects.js';
import { ApiRefusal } from './status.js';

export type Matches = (object: ApiObject) => boolean;

/**
 * The objects that a list or a watch asks for, by `labelSelector` and `fieldSelector`. Of labels `a=b`, `a==b`, `a!=b`, `a` and `!a`; of fields
 * equality, of any field.
 *
 * @throws {@link ApiRefusal} 400
 */
export function selection(query: URLSearchParams): Matches {
  const labels = termsOf(query.get('labelSelector')).map((term) => matcher(term, labelOf));
  const fields = termsOf(query.get('fieldSelector')).map((term) => matcher(term, fieldOf));
  return (object) => [...labels, ...fields].every((matches) => matches(object));
}

const termsOf = (selector: string | null): readonly string[] =>
  (selector ?? '').split(',').filter((term) => term !== '');

type Reader = (object: ApiObject, key: string) => string | undefined;

function matcher(term: string, read: Reader): Matches {
  const [, key = '', operator, value] = /^\s*([^\s!=]+)\s*(==?|!=)\s*(\S*)\s*$/.exec(term) ?? [];
  if (operator === '!=') return (object) => read(object, key) !== value;
  if (operator !== undefined) return (object) => read(object, key) === value;
  const [, not, name] = /^\s*(!?)([\w./-]+)\s*$/.exec(term) ?? [];
  if (name === undefined) throw new ApiRefusal(400, 'BadRequest', `unable to parse requirement: ${term}`);
  return (object) => (read(object, name) !== undefined) === (not === '');
}

const labelOf: Reader = ({ metadata: { labels = {} } }, key) =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

const fieldOf: Reader = (object, path) => {
  let value: unknown = object;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return '';
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
};
