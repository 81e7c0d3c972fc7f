/** Control, formatting and line-breaking characters: what acts on a terminal, forges lines of a log, or turns and hides text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** Text of somebody else's, made safe for logs and terminals and cut to a length that a person reads. */
export function printable(text: string, maxLength = 200): string {
  const clean = text.replace(UNPRINTABLE, ' ').trim();
  return clean.length > maxLength ? `${clean.slice(0, maxLength)}…` : clean;
}

/** The same with nothing lost: what acts on a terminal is spelt out as in JSON, one `\uXXXX` for each unit of UTF-16. */
export function spelledOut(text: string): string {
  return text.replace(UNPRINTABLE, (run) =>
    Array.from({ length: run.length }, (_, at) => `\\u${hex(run.charCodeAt(at))}`).join(''),
  );
}

const hex = (unit: number): string => unit.toString(16).padStart(4, '0');
