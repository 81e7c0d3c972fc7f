import { HOP_BY_HOP } from '../hop-by-hop.js';

/** A header or trailer field. */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** The name in lower case, by which fields are told apart. */
  readonly key: string;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

const NOTHING: readonly string[] = [];

export const field = (name: string, value: string): Field => ({ name, value, key: name.toLowerCase() });

/** Fields of `rawHeaders` or `rawTrailers`, in their order, with their repeats; those of HTTP/2 that are none, such as `:path`, left out. */
export function fieldsOf(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!name.startsWith(':')) fields.push(field(name, raw[at + 1] ?? ''));
  }
  return fields;
}

/** As `node:http` takes them. */
export function rawOf(fields: readonly Field[]): string[] {
  const raw: string[] = [];
  for (const { name, value } of fields) raw.push(name, value);
  return raw;
}

/** Those of a trailer, as `node:http` takes them. */
export const pairsOf = (fields: readonly Field[]): [string, string][] =>
  fields.map(({ name, value }) => [name, value]);

/** Whether it can be sent without becoming something else (RFC 9110 §5.1, §5.5). */
export const isSendable = ({ name, value }: Omit<Field, 'key'>): boolean =>
  TOKEN.test(name) && !UNSENDABLE.test(value);

/** The values of a field, in their order. */
export function valuesOf(fields: readonly Field[], wanted: string): readonly string[] {
  let values: string[] | undefined;
  for (const { key, value } of fields) if (key === wanted) (values ??= []).push(value);
  return values ?? NOTHING;
}

/** The elements of a list field, lower case. */
export function listOf(fields: readonly Field[], wanted: string): readonly string[] {
  const values = valuesOf(fields, wanted);
  if (values.length === 0) return NOTHING;
  return values
    .join()
    .split(',')
    .map((element) => element.trim().toLowerCase())
    .filter((element) => element !== '');
}

/** Whether a field goes no further than this connection, by its name or because `Connection` lists it. */
export function hopByHop(fields: readonly Field[]): (field: Field) => boolean {
  const options = valuesOf(fields, 'connection');
  const listed =
    options.length === 1 && HOP_BY_HOP.has(options[0] ?? '') ? NOTHING : listOf(fields, 'connection');
  return ({ key }) => HOP_BY_HOP.has(key) || listed.includes(key);
}
