import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from './access.js';
import { isIdentity } from './access/identity-headers.js';
import { addressOf, forwardedFor } from './client-address.js';
import type { Exchange, UpgradeExchange } from './exchange.js';
import { carryPlain } from './plain/carry-plain.js';
import { field } from './plain/fields.js';
import { requestHead, type RequestHead } from './plain/request-head.js';
import { StatusError } from './status-error.js';
import { carryUpgrade } from './upgrade/carry-upgrade.js';
import { upgradeHead } from './upgrade/request-head.js';
import type { UpstreamClient } from './upstream/upstream-client.js';

interface Passage {
  /** Whose request it is: their credentials go with it, and nobody else's. */
  readonly caller: Caller;
  readonly upstream: UpstreamClient;
  /** The client's, for `X-Forwarded-For`. Default: the address that it is connected from. */
  readonly clientAddress?: string | undefined;
}

/** A plain request that is the upstream's to answer. */
export interface PassThrough extends Passage {
  readonly exchange: Exchange;
}

/** An upgrade that is the upstream's to answer. */
export interface PassThroughUpgrade extends Passage {
  readonly upgrade: UpgradeExchange;
  /** Gives it up; once the client has its answer, that cuts both connections. */
  readonly signal?: AbortSignal | undefined;
  /** Is told the status of the answer that the client gets. Not called for what is rejected with. */
  readonly onAnswer?: ((status: number) => void) | undefined;
}

type Pair = readonly [name: string, value: string];

/**
 * Sends a request to the upstream as it came, its path byte for byte, and the answer back as it comes, watches included. Who asks is told by
 * the caller alone: `Authorization`, `Impersonate-*` and `X-Remote-*` of the request stay here. Resolves when the exchange is over.
 *
 * @throws {@link StatusError} before anything was answered: 400 for a request that can be read in more than one way, 405 for a method that
 *   kube-apiserver does not know, 503 when the upstream cannot be reached
 */
export async function passThrough({ exchange, caller, upstream, clientAddress }: PassThrough): Promise<void> {
  const { request } = exchange;
  const path = upstream.pathOf(pathOf(request.url, upstream.pathOf('') !== ''));
  const { authority } = upstream;
  const address = clientAddress ?? addressOf(request.socket.remoteAddress);
  const given = requestHead(request, { authority, clientAddress: address, forwardedUri: undefined });
  const head = withIdentity(given, await credentialsOf(caller), authority);
  await carryPlain({ exchange, backend: upstream.backendFor(caller), path, head });
}

/**
 * The same for an upgrade. What the upstream answers in place of a 101 is passed on, whatever it is.
 *
 * @throws {@link StatusError} before anything was answered: 400, 417, 500, 504 as of {@link relayUpgrade}; the signal's reason
 */
export async function passThroughUpgrade(passage: PassThroughUpgrade): Promise<void> {
  const { upgrade, caller, upstream, signal, onAnswer } = passage;
  const { request, socket } = upgrade;
  socket.on('error', () => undefined); // 'close' follows
  const head = upgradeHead(request, {
    path: upstream.pathOf(pathOf(request.url, upstream.pathOf('') !== '')),
    host: upstream.authority,
    withheld: (name) => name === 'x-forwarded-for' || isIdentity(name),
    // A token among the subprotocols is in `Authorization` by now.
    added: [...forwardedFor(request, passage.clientAddress), ...(await credentialsOf(caller))],
  });
  const backend = upstream.backendFor(caller);
  const connect = (given: AbortSignal) => backend.connect(given);
  const passesOn = (status: number): boolean => status >= 200;
  await carryUpgrade({ upgrade, head, connect, signal, passesOn, onAnswer });
}

/** Path and query, byte for byte; of a target in absolute form (RFC 9112 §3.2.2) what follows the host. */
function pathOf(target: string | undefined, isPrefixed: boolean): string {
  const [, path = ''] = /^(?:https?:\/\/[^/?#@]+)?(\/[!-~]*)$/i.exec(target ?? '') ?? [];
  // What the server's URL has before it is not to be climbed out of.
  const isDotted = (path.split('?', 1)[0] ?? '')
    .split(/[/\\]|%2f|%5c/i)
    .some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
  if (path !== '' && !(isDotted && isPrefixed)) return path;
  throw new StatusError(400, 'BadRequest', 'the request target is malformed');
}

async function credentialsOf(caller: Caller): Promise<readonly Pair[]> {
  return pairsOf(await caller.upstreamHeaders());
}

function pairsOf(headers: IncomingHttpHeaders): readonly Pair[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): Pair => [name, each]),
  );
}

/** The head was made without credentials. */
function withIdentity(head: RequestHead, credentials: readonly Pair[], authority: string): RequestHead {
  const others = head.fields.filter(({ key }) => key !== 'host');
  const identity = credentials.map(([name, value]) => field(name, value));
  return { ...head, fields: [field('Host', authority), ...others, ...identity] };
}
