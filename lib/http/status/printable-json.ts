import { spelledOut } from '../../printable.js';

/**
 * JSON in which nothing acts on the terminal that shows it, and which is the same to a parser. `JSON.stringify` leaves DEL, C1 and the
 * characters that turn or hide text as they are.
 */
export function toPrintableJson(value: unknown, indent?: number): string {
  // Its own line feeds stay.
  return JSON.stringify(value, undefined, indent).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, spelledOut);
}
