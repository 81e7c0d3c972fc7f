import { isIPv4, isIPv6 } from 'node:net';
import type { Dialer } from './dialer.js';
import { InvalidOptionError } from './errors.js';
import { spelledOut } from './printable.js';

/**
 * Judges one option: returns it, typed and with defaults filled in, or throws.
 *
 * @param path - where the option stands, such as `pool.maxConnections`; the empty string is the root
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export type Check<T> = (value: unknown, path: string) => T;

/** What the checks of a shape return, key by key. */
export type Checked<Shape extends Record<string, Check<unknown>>> = {
  readonly [Key in keyof Shape]: ReturnType<Shape[Key]>;
};

/** Longest delay of `setTimeout`; Node turns anything above it into 1 ms. */
const maxTimerMs = 2 ** 31 - 1;

const maxShown = 60;

/** What names of options end in. */
const UNITS = ['ms', 'bytes'];

function quote(text: string): string {
  const cut = text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
  // JSON leaves DEL, C1 and the characters that turn or hide text as they are; a terminal acts on them.
  return spelledOut(JSON.stringify(cut));
}

/** The value for an error message: a string quoted, escaped and cut, a number as it is, else its kind only. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return value.includes('PRIVATE KEY') ? 'a private key' : quote(value);
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'boolean') return String(value);
  return describeKind(value);
}

/** The kind of a value and nothing of its content, for options that hold secrets, if only by mistake. */
export function describeKind(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function wrong(path: string, rule: string, value: unknown): InvalidOptionError {
  return new InvalidOptionError(path || 'options', `${rule}, got ${describeValue(value)}`);
}

/** Whether a text is the path of a file, most likely, where the file's content is asked for. */
export const looksLikePath = (text: string): boolean => /^(~|\.{0,2}\/|[A-Za-z]:\\)[^\n]*$/.test(text);

/** An integer within bounds, both included. */
export function integer(min: number, max: number): Check<number> {
  return (value, path) => {
    if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
    throw wrong(path, `must be an integer from ${min} to ${max}`, value);
  };
}

/** A duration in whole milliseconds that `setTimeout` can wait for. */
export function milliseconds(min = 0): Check<number> {
  return integer(min, maxTimerMs);
}

/** A port of TCP. */
export const port: Check<number> = integer(1, 65535);

export const boolean: Check<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value;
  throw wrong(path, 'must be true or false', value);
};

/** A string of at least one character. Not for secrets: the value is shown when it is wrong. */
export const nonEmptyString: Check<string> = (value, path) => {
  if (typeof value === 'string' && value !== '') return value;
  throw wrong(path, 'must be a non-empty string', value);
};

/** A user name of SSH: not empty, no control characters. */
export const username: Check<string> = (value, path) => {
  if (typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value)) return value;
  throw wrong(path, 'must be a non-empty string without control characters', value);
};

export const callable: Check<(...args: never[]) => unknown> = (value, path) => {
  if (typeof value === 'function') return value as (...args: never[]) => unknown;
  throw wrong(path, 'must be a function', value);
};

/** An `AbortSignal`, or one of another realm or polyfill that works like it. */
export const abortSignal: Check<AbortSignal> = (value, path) => {
  const signal = value as Partial<AbortSignal> | null | undefined;
  if (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function') {
    return value as AbortSignal;
  }
  throw wrong(path, 'must be an AbortSignal', value);
};

/** One of a few strings. */
export function oneOf<const Choice extends string>(...choices: readonly Choice[]): Check<Choice> {
  return (value, path) => {
    const choice = choices.find((candidate) => candidate === value);
    if (choice !== undefined) return choice;
    throw wrong(path, `must be ${choices.map((candidate) => `'${candidate}'`).join(' or ')}`, value);
  };
}

/** An option that may be left out. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

/** An option that has a default. */
export function withDefault<T>(check: Check<T>, fallback: T): Check<T> {
  return (value, path) => (value === undefined ? fallback : check(value, path));
}

/** A list; its members are checked as `path[0]`, `path[1]` and so on. Returns a frozen copy. */
export function arrayOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, 'must be an array', value);
    return Object.freeze(Array.from(value, (member: unknown, index) => check(member, `${path}[${index}]`)));
  };
}

/**
 * An object with these keys and no others. Returns a frozen copy; each property is read once.
 * `objectOf(shape)({}, path)` gives a group's defaults when no key is required.
 */
export function objectOf<Shape extends Record<string, Check<unknown>>>(shape: Shape): Check<Checked<Shape>> {
  const checks = Object.entries(shape) as [keyof Shape & string, Check<unknown>][];
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw wrong(path, 'must be an object', value);
    }
    const keys = Object.keys(value);
    // An AbortSignal where `{ signal }` is meant has no keys either, and would be taken for no options.
    if (keys.length === 0 && !isPlain(value)) {
      throw new InvalidOptionError(
        path || 'options',
        `must be a plain object such as { ${Object.keys(shape)[0] ?? ''} }`,
      );
    }
    const unknown = keys.find((key) => !Object.hasOwn(shape, key));
    if (unknown !== undefined) {
      const advice =
        meant(unknown, Object.keys(shape), path) ?? `known here: ${Object.keys(shape).join(', ')}`;
      throw unknownKey(unknown, path, advice);
    }
    const given = value as Record<string, unknown>;
    const checked: Record<string, unknown> = {};
    for (const [key, check] of checks) checked[key] = check(given[key], path === '' ? key : `${path}.${key}`);
    return Object.freeze(checked) as Checked<Shape>;
  };
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function join(path: string, key: string): string {
  if (!/^[\w$]+$/.test(key) || key.length > maxShown) return `${path}[${quote(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

/**
 * Refuses keys that look like one of ours misspelt, where others than ours are allowed.
 *
 * @throws {@link InvalidOptionError}
 */
export function refuseMisspelt(keys: readonly string[], ours: readonly string[], path: string): void {
  for (const key of keys) {
    const advice = ours.includes(key) ? undefined : meant(key, ours, path);
    if (advice !== undefined) throw unknownKey(key, path, advice);
  }
}

function unknownKey(key: string, path: string, advice: string): InvalidOptionError {
  return new InvalidOptionError(join(path, key), `is not a known option; ${advice}`);
}

function meant(key: string, known: readonly string[], path: string): string | undefined {
  const closest = closestTo(key, known);
  return closest === undefined ? undefined : `did you mean ${join(path, closest)}?`;
}

function closestTo(key: string, known: readonly string[]): string | undefined {
  if (key.length > maxShown) return undefined;
  const typed = key.toLowerCase();
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const right = name.toLowerCase();
    // `timeout` for `timeoutMs`: the unit is what people forget.
    const distance = UNITS.some((unit) => right === typed + unit) ? 1 : editDistance(typed, right);
    const near = distance <= Math.max(1, Math.floor(right.length / 3));
    if (near && distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

/** Levenshtein's distance: how many characters to insert, remove or replace. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [row, left] of Array.from(from).entries()) {
    const current = [row + 1];
    for (const [column, right] of Array.from(to).entries()) {
      const replaced = (previous[column] ?? 0) + (left === right ? 0 : 1);
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}

/**
 * A host: a DNS name, an IPv4 address, or an IPv6 address with or without brackets and zone.
 *
 * The rule for names is what the node's resolver takes: glibc's `res_hnok` (resolv/res-name-checking.c)
 * allows letters, digits, `-` and `_` in a label but no `-` at the very start; lengths are those of RFC 1035
 * §2.3.4. One dot at the end is fine.
 */
export const host: Check<string> = (value, path) => {
  if (typeof value !== 'string' || value === '') {
    throw wrong(path, 'must be a host name or IP address', value);
  }
  const problem = problemOfHost(value);
  if (problem === undefined) return value;
  // A URL may hold a password.
  const got = /@|:\/\//.test(value) ? 'a URL' : describeValue(value);
  throw new InvalidOptionError(path || 'host', `${problem}, got ${got}`);
};

function problemOfHost(text: string): string | undefined {
  if (/[/@]/.test(text)) return 'must be a host name or IP address without scheme, user or path';
  if (/[[\]]/.test(text)) {
    const inner = /^\[([^[\]]*)\]$/.exec(text)?.[1];
    if (inner !== undefined && isIPv6WithZone(inner)) return undefined;
    return 'must have an IPv6 address between brackets and nothing around them';
  }
  if (text.includes(':')) {
    return isIPv6WithZone(text) ? undefined : 'must be a host name or IP address without a port';
  }
  // `010.0.0.1`, `127.1` and `0x7f000001` are no names, though a resolver reads an address in them (as in WHATWG URL, "ends in a number").
  if (/(^|\.)(\d+|0x[\da-f]*)\.?$/i.test(text)) {
    return isIPv4(text)
      ? undefined
      : 'must be a host name or IP address and looks like a mistyped IPv4 address';
  }
  return problemOfName(text);
}

function isIPv6WithZone(text: string): boolean {
  const [address = '', zone, ...more] = text.split('%');
  return isIPv6(address) && more.length === 0 && (zone === undefined || /^[\w.~-]{1,64}$/.test(zone));
}

function problemOfName(text: string): string | undefined {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length > 253) return 'must be a host name of at most 253 characters';
  if (name.split('.').some((label) => label.length > 63)) {
    return 'must be a host name whose labels have at most 63 characters';
  }
  if (/^(?!-)[\w-]+(\.[\w-]+)*$/.test(name)) return undefined;
  const international = /\P{ASCII}/u.test(name) && /^[\p{L}\p{M}\p{N}.-]+$/u.test(name);
  return international
    ? 'must be a host name in ASCII; write an international name in its xn-- form'
    : 'must be a host name or IP address';
}

/**
 * The first argument of whatever goes through a dialer.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkDialer(dialer: unknown): asserts dialer is Dialer {
  if (typeof (dialer as Partial<Dialer> | null | undefined)?.dial === 'function') return;
  throw new InvalidOptionError(
    'dialer',
    `must have a dial() as a TunnelDialer has, got ${describeKind(dialer)}`,
  );
}
