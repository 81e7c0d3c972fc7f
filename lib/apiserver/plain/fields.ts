import { HOP_BY_HOP } from '../hop-by-hop.js';

/** A header or trailer field. */
export type Field = readonly [name: string, value: string];

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

/** Fields of `rawHeaders` or `rawTrailers`, in their order, with their repeats; those of HTTP/2 that are none, such as `:path`, left out. */
export function fieldsOf(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    if (!name.startsWith(':')) fields.push([name, value]);
  }
  return fields;
}

/** As `node:http` takes them. */
export const rawOf = (fields: readonly Field[]): string[] => fields.flat();

/** Whether it can be sent without becoming something else (RFC 9110 §5.1, §5.5). */
export const isSendable = ([name, value]: Field): boolean => TOKEN.test(name) && !UNSENDABLE.test(value);

/** The values of a field, in their order. */
export function valuesOf(fields: readonly Field[], wanted: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

/** The elements of a list field, lower case. */
export function listOf(fields: readonly Field[], wanted: string): string[] {
  const elements = valuesOf(fields, wanted).flatMap((value) => value.split(','));
  return elements.map((element) => element.trim().toLowerCase()).filter((element) => element !== '');
}

/** Whether a field goes no further than this connection, by its name or because `Connection` lists it. */
export function hopByHop(fields: readonly Field[]): (name: string) => boolean {
  const listed = new Set(listOf(fields, 'connection'));
  return (name) => HOP_BY_HOP.has(name) || listed.has(name);
}
