import type { Readable } from 'node:stream';
import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import { SpdySession } from '../../spdy/session.js';
import type { SpdyStream } from '../../spdy/stream.js';
import type { UpgradeExchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { ClientGoneError } from '../upgrade/attempt.js';
import type { UpgradeRelay } from '../upgrade/relay-upgrade.js';
import { ClientWebSocket, offeredSubprotocols } from './client-web-socket.js';
import { openSpdy } from './open-spdy.js';

const V5 = 'v5.channel.k8s.io';
const V4 = 'v4.channel.k8s.io';

/** Channels of the WebSocket, by the names of the streams of SPDY (k8s.io/apimachinery, pkg/util/remotecommand). */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
type StreamName = keyof typeof CHANNEL;
/** The first byte of a message that says which channel has ended. */
const CLOSE_CHANNEL = 255;

/** How long a kubelet may take to accept the streams (k8s.io/client-go, tools/remotecommand). */
const STREAMS_TIMEOUT_MS = 30_000;
/** So that a kubelet does not take a silent client for an idle one, nor we a lost tunnel for a silent kubelet. */
const PING_MS = 10_000;
const MAX_STATUS_BYTES = 64 * 1024;

/** Whether a WebSocket is asked for as kubectl from 1.30 on does for exec and attach, which kubelets before 1.36 do not understand. */
export function isTranslated(request: UpgradeExchange['request']): boolean {
  return offeredSubprotocols(request).includes(V5);
}

/**
 * Translates an exec or attach between a client's WebSocket (`v5.channel.k8s.io`) and the SPDY/3.1 that every kubelet speaks
 * (`v4.channel.k8s.io`), as kube-apiserver does (apiserver, pkg/util/proxy/streamtranslator.go): with the end of stdin, sizes of the terminal,
 * and the exit status. Settles as `relayUpgrade`, which takes the same; the streams are those that `path` asks the kubelet for.
 *
 * Unlike there, the client is answered when the kubelet has: a refusal of the kubelet's reaches it as such.
 *
 * @throws {@link StatusError} 400 when the client does not offer `v5.channel.k8s.io`; as `relayUpgrade`
 */
export async function translateStreams(relay: UpgradeRelay): Promise<void> {
  const { upgrade, signal, path, onAnswer } = relay;
  if (!isTranslated(upgrade.request))
    throw new StatusError(400, 'BadRequest', `unable to upgrade: the client does not offer ${V5}`);
  ClientWebSocket.judge(upgrade);
  const opened = await openSpdy(relay, [V4]);
  if (opened === undefined) return;
  const session = new SpdySession(opened.socket, { side: 'client' });
  try {
    const streams = await openStreams(session, namesOf(path), signal);
    const client = await ClientWebSocket.accept(upgrade, V5, signal);
    onAnswer?.(101);
    await translate(client, session, streams);
  } catch (error) {
    if (!(error instanceof ClientGoneError)) throw error;
  } finally {
    session.destroy();
    await session.closed;
  }
}

/** The streams that a query asks a kubelet for, in the order in which client-go opens them. */
function namesOf(path: string): readonly StreamName[] {
  const query = new URLSearchParams(path.slice(path.indexOf('?') + 1));
  const is = (name: string): boolean => query.get(name) === '1';
  const isTty = is('tty');
  return [
    'error',
    ...(is('input') ? (['stdin'] as const) : []),
    ...(is('output') ? (['stdout'] as const) : []),
    ...(is('error') && !isTty ? (['stderr'] as const) : []),
    ...(isTty ? (['resize'] as const) : []),
  ];
}

type Streams = ReadonlyMap<StreamName, SpdyStream>;

/** @throws {@link StatusError} 500 */
async function openStreams(
  session: SpdySession,
  names: readonly StreamName[],
  callers: AbortSignal | undefined,
): Promise<Streams> {
  const limit = AbortSignal.timeout(STREAMS_TIMEOUT_MS);
  const signal = callers === undefined ? limit : AbortSignal.any([callers, limit]);
  try {
    return new Map(
      await Promise.all(
        names.map(async (name) => {
          const stream = await session.open(new Map([['streamtype', name]]), { signal });
          return [name, stream] as const;
        }),
      ),
    );
  } catch (cause) {
    callers?.throwIfAborted();
    const problem = `error opening streams to the kubelet: ${printable(messageOf(cause))}`;
    throw new StatusError(500, '', problem, { cause });
  }
}

async function translate(client: ClientWebSocket, session: SpdySession, streams: Streams): Promise<void> {
  const pinging = setInterval(() => session.ping(), PING_MS);
  void client.closed.then(() => {
    clearInterval(pinging);
    session.destroy();
  });
  receive(client, streams);
  const sent = (['stdout', 'stderr'] as const).map((name) => sendAll(client, name, streams.get(name)));
  const status = await statusOf(streams.get('error'));
  // All output comes before the last words.
  await Promise.all(sent);
  await client.send(message('error', status));
  await client.close();
}

function receive(client: ClientWebSocket, streams: Streams): void {
  const [stdin, resize] = [streams.get('stdin'), streams.get('resize')];
  client.onMessage((bytes) => {
    const [channel, ended] = bytes;
    if (channel === CHANNEL.stdin && stdin?.writable === true) {
      if (!stdin.write(bytes.subarray(1))) client.pause();
    } else if (channel === CHANNEL.resize && resize?.writable === true) {
      if (!resize.write(bytes.subarray(1))) client.pause();
    } else if (channel === CLOSE_CHANNEL && ended === CHANNEL.stdin) stdin?.end();
  });
  for (const stream of [stdin, resize]) {
    // A kubelet says nothing on them; what it says would hold up the others.
    stream?.resume();
    stream?.on('drain', () => client.resume()).once('close', () => client.resume());
  }
}

/** What the kubelet has said is sent, however it ends: the status tells how. */
async function sendAll(
  client: ClientWebSocket,
  name: 'stdout' | 'stderr',
  stream: Readable | undefined,
): Promise<void> {
  try {
    for await (const chunk of stream ?? []) await client.send(message(name, chunk as Buffer));
  } catch {
    // Told by the error stream.
  }
}

/** What the kubelet says of the end, or that it was lost. */
async function statusOf(stream: SpdyStream | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let problem = 'the connection to the kubelet ended without a status';
  try {
    for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_STATUS_BYTES) throw new Error('the status of the kubelet is too long');
      chunks.push(chunk);
    }
    if (length > 0) return Buffer.concat(chunks);
    // As client-go has it: who ends without a word has nothing to complain of.
    if (stream?.isGivenUp === false) return Buffer.from('{"metadata":{},"status":"Success"}');
  } catch (error) {
    problem = `the connection to the kubelet was lost: ${printable(messageOf(error))}`;
  }
  return Buffer.from(
    JSON.stringify(new StatusError(500, 'InternalError', `Internal error occurred: ${problem}`)),
  );
}

const message = (name: StreamName, bytes: Buffer): Buffer => Buffer.concat([Buffer.of(CHANNEL[name]), bytes]);
