import { validateHeaderName, validateHeaderValue, type IncomingMessage } from 'node:http';
import { printable } from '../../printable.js';
import { HOP_BY_HOP } from '../hop-by-hop.js';
import { StatusError } from '../status-error.js';
import { membersOf, upgradeRequired } from './is-upgrade.js';
import { withoutBearer } from './subprotocols.js';

/** What becomes of the head of an upgrade request on its way. */
export interface HeadRules {
  /** Path and query for the other side. */
  readonly path: string;
  /** In place of the client's `Host`. Default: the client's. */
  readonly host?: string | undefined;
  /** Which fields, by their names in lower case with `-` for `_`, do not go on. */
  readonly withheld: (name: string) => boolean;
  /** Fields that are added at the end. */
  readonly added: readonly (readonly [name: string, value: string])[];
  /** Whether a bearer token among the subprotocols goes on. Default: false. */
  readonly passesBearer?: boolean | undefined;
}

/** The head of a request, and how much of what the client sends belongs to the request. */
export interface RequestHead {
  readonly method: string;
  readonly bytes: Buffer;
  readonly bodyBytes: number;
}

/** What an upgrade keeps, and a client cannot take from it by naming it in `Connection`. */
const END_TO_END: ReadonlySet<string> = new Set(['content-length', 'host', 'upgrade', 'x-forwarded-for']);

/** Protocols in which the client would go on with further requests, past everything that is decided for each. */
const REQUESTS_OVER_AGAIN = /^(h2c?|h3|https?|tls)(\/|$)/i;

type Field = readonly [name: string, value: string];

/**
 * Writes the head of an upgrade anew: the client's fields in their order, each on its own line as it came, less what is not to go on, and exactly
 * one `Connection: Upgrade`, which is all that older kubelets look at (kubernetes/kubernetes#67329).
 *
 * @throws {@link StatusError} 400 for what cannot be passed on without doubt about where the request ends, and for upgrades to HTTP itself;
 *   417 for `Expect`
 */
export function upgradeHead(request: IncomingMessage, rules: HeadRules): RequestHead {
  // RFC 9110 §7.8: in a request of HTTP/1.0, Upgrade means nothing.
  if (request.httpVersion !== '1.1') throw upgradeRequired();
  const { method = '' } = request;
  if (!/^[A-Z-]+$/.test(method)) throw malformed('method');
  if (!/^\/[\x21-\x7e]*$/.test(rules.path)) throw malformed('path');
  const fields = fieldsOf(request);
  checkProtocols(fields);
  const bodyBytes = bodyLengthOf(fields);
  const lines = [...keptFields(fields, rules), ...rules.added.map(checked), CONNECTION].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const text = `${method} ${rules.path} HTTP/1.1\r\n${lines.join('')}\r\n`;
  // As Node has read it: a character for each byte.
  return { method, bytes: Buffer.from(text, 'latin1'), bodyBytes };
}

const CONNECTION: Field = ['Connection', 'Upgrade'];

/** Names as they are compared: some servers, CGI for one, take `_` and `-` for the same. */
const comparable = (name: string): string => name.toLowerCase().replaceAll('_', '-');

function fieldsOf({ rawHeaders }: IncomingMessage): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    fields.push(checked([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']));
  return fields;
}

/** Node's parser has let them through, but it can be told to be lenient. */
function checked(field: Field): Field {
  try {
    validateHeaderName(field[0]);
    validateHeaderValue(field[0], field[1]);
  } catch {
    throw malformed('field');
  }
  return field;
}

function* keptFields(
  fields: readonly Field[],
  { withheld, host, passesBearer }: HeadRules,
): Generator<Field> {
  const named = new Set(valuesOf(fields, 'connection').flatMap(membersOf).map(comparable));
  const isHopByHop = (name: string): boolean =>
    !END_TO_END.has(name) && (HOP_BY_HOP.has(name) || named.has(name));
  const subprotocols = valuesOf(fields, WS_PROTOCOL);
  const offered = [...(passesBearer === true ? subprotocols : withoutBearer(subprotocols))];
  for (const [given, value] of fields) {
    const name = comparable(given);
    if (isHopByHop(name) || withheld(name)) continue;
    if (name === 'host') yield [given, host ?? value];
    else if (name !== WS_PROTOCOL) yield [given, value];
    // All of them at the first one's place: what they say is one list.
    else for (const line of offered.splice(0)) yield [given, line];
  }
}

const WS_PROTOCOL = 'sec-websocket-protocol';

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([given]) => comparable(given) === name).map(([, value]) => value);
}

function checkProtocols(fields: readonly Field[]): void {
  const protocols = valuesOf(fields, 'upgrade').flatMap(membersOf);
  if (protocols.length === 0) throw upgradeRequired();
  const refused = protocols.find((protocol) => REQUESTS_OVER_AGAIN.test(protocol));
  if (refused === undefined) return;
  const problem = `an upgrade to ${printable(refused, 40)} is not passed on; leave Upgrade out of the request`;
  throw new StatusError(400, 'BadRequest', problem);
}

/** @throws {@link StatusError} */
function bodyLengthOf(fields: readonly Field[]): number {
  if (valuesOf(fields, 'host').length !== 1) throw malformed('Host');
  if (valuesOf(fields, 'expect').length > 0)
    throw new StatusError(417, '', 'an upgrade request is not answered in two steps; leave Expect out of it');
  if (valuesOf(fields, 'transfer-encoding').length > 0) {
    const problem = 'an upgrade request with Transfer-Encoding is not passed on; give its Content-Length';
    throw new StatusError(400, 'BadRequest', problem);
  }
  const lengths = valuesOf(fields, 'content-length');
  const length = Number(lengths[0] ?? '0');
  if (lengths.length > 1 || !/^\d+$/.test(lengths[0] ?? '0') || !Number.isSafeInteger(length))
    throw malformed('Content-Length');
  return length;
}

const malformed = (what: string): StatusError =>
  new StatusError(400, 'BadRequest', `the ${what} of the upgrade request is malformed`);
