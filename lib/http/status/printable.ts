const hex = (unit: number): string => unit.toString(16).padStart(4, '0');

/** A text in which nothing acts on the terminal that shows it: control, formatting and line-breaking characters are spelt out. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escape);
}

/**
 * JSON in which nothing acts on the terminal that shows it, and which is the same to a parser. `JSON.stringify` leaves DEL, C1 and the
 * characters that turn or hide text as they are.
 */
export function toPrintableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, escape);
}

/** As in JSON: one `\uXXXX` for each unit of UTF-16. */
function escape(character: string): string {
  return Array.from({ length: character.length }, (_, at) => `\\u${hex(character.charCodeAt(at))}`).join('');
}
