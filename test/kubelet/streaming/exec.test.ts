import { expect } from 'chai';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { KubeletError } from '../../../lib/kubelet/errors.js';
import { StreamingError } from '../../../lib/kubelet/streaming/errors.js';
import { openAttach, openExec } from '../../../lib/kubelet/streaming/exec.js';
import type { ExecOptions } from '../../../lib/kubelet/streaming/options.js';
import type { RemoteProcess } from '../../../lib/kubelet/streaming/remote-process.js';
import { TransportError } from '../../../lib/index.js';
import { read, rejection, unhandledDuring, until } from '../../support/dialer.js';
import { expectNoLeaks } from '../../support/leaks.js';
import { answer, ScriptedKubelet, type Peer } from './scripted-kubelet.js';

const target = { namespace: 'default', pod: 'web-0', container: 'app' };
const KIB = 1024;

describe('kubelet: exec and attach', () => {
  let kubelet: ScriptedKubelet;
  beforeEach(async () => (kubelet = await ScriptedKubelet.start()));
  afterEach(() => kubelet.end());

  const exec = (options: Partial<ExecOptions> = {}): Promise<RemoteProcess> =>
    openExec(kubelet.access, { ...target, command: ['date'], ...options });

  const start = async (
    options: Partial<ExecOptions> = {},
  ): Promise<{ process: RemoteProcess; peer: Peer }> => {
    const next = kubelet.next();
    const process = await exec(options);
    return { process, peer: await next };
  };

  /** What all of the process fails with. */
  const failureOf = async <T = StreamingError>(process: RemoteProcess): Promise<T> => {
    const [error, ...others] = await Promise.all([
      rejection<T>(process.exit),
      rejection<T>(text(process.stdout)),
      rejection<T>(text(process.stderr)),
    ]);
    expect(others).to.deep.equal([error, error]);
    return error;
  };

  /** The kubelet has answered the ping that comes before all of stdin. */
  const hearAnswer = async (process: RemoteProcess, peer: Peer): Promise<void> => {
    process.stdin.write('x');
    await once(peer.ws, 'message');
    peer.send(1, 'x');
    await read(process.stdout, 1);
  };

  const noChannel = (): Promise<void> => until('no channel', () => kubelet.stage.ssh.channels === 0);

  it("asks with the kubelet's own names, and offers v5 before v4", async () => {
    const { peer } = await start({ command: ['sh', '-c', 'echo "a b" &+é'], stdin: true });
    expect(peer.request.url).to.equal(
      '/exec/default/web-0/app?input=1&output=1&error=1&command=sh&command=-c&command=echo+%22a+b%22+%26%2B%C3%A9',
    );
    expect(peer.request.headers['sec-websocket-protocol']).to.equal('v5.channel.k8s.io,v4.channel.k8s.io');
    expect(peer.request.headers.authorization).to.equal('Bearer secret');
    expect(peer.request.headers['sec-websocket-extensions']).to.equal(undefined);
  });

  it('keeps no more of what came than what waits to be read', async () => {
    const { process, peer } = await start({ stderr: false });
    const tail = Buffer.from([0x82, 2, 1, 0x41]);
    // One byte of output at the end of 16 KiB of pongs, which nobody asked for.
    const pong = Buffer.concat([Buffer.from([0x8a, 125]), Buffer.alloc(125)]);
    const block = Buffer.concat([...Array.from({ length: 128 }, () => pong), tail]);
    for (let count = 0; count < 20; count += 1) peer.socket.write(block);
    await until('all of it', () => process.stdout.readableLength === 20);
    const kept = new Set<ArrayBufferLike>();
    process.stdout.on('data', ({ buffer }: Buffer) => kept.add(buffer));
    await until('the last', () => process.stdout.readableLength === 0);
    const bytes = [...kept].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(bytes).to.be.at.most(4 * Buffer.poolSize);
    process.destroy();
  });

  it('takes no message in endless pieces', async () => {
    const { process, peer } = await start();
    peer.socket.write(Buffer.from([0x02, 1, 1]));
    for (let count = 0; count < 100; count += 1) peer.socket.write(Buffer.from([0x00, 1, 0x41]));
    expect(await rejection(process.exit)).to.include({ code: 'ERR_KUBELET_PROTOCOL' });
  });

  it('attaches without a command, and with a terminal without stderr', async () => {
    const next = kubelet.next();
    const process = await openAttach(kubelet.access, { ...target, stdin: true, tty: true });
    const { request } = await next;
    expect(request.url).to.equal('/attach/default/web-0/app?input=1&output=1&tty=1');
    expect(await text(process.stderr)).to.equal('');
  });

  for (const protocol of ['v5', 'v4'] as const) {
    it(`gives what the command prints and its exit code, under ${protocol}`, async () => {
      kubelet.protocols = [`${protocol}.channel.k8s.io`];
      kubelet.script = (peer) => {
        peer.send(1);
        peer.send(1, 'out');
        peer.send(2, 'err');
        peer.exit(42);
      };
      const process = await exec();
      expect(process.protocol).to.equal(protocol);
      const outputs = [text(process.stdout), text(process.stderr)];
      expect(await process.exit).to.deep.equal({
        code: 42,
        message: 'command terminated with non-zero exit code: exit status 42',
      });
      expect(await Promise.all(outputs)).to.deep.equal(['out', 'err']);
    });
  }

  /** Sent in one piece, so that what comes behind a full output is not waited for. */
  const sendTogether = (peer: Peer, send: () => void): void => {
    peer.socket.cork();
    send();
    peer.socket.uncork();
  };

  it('hears a kubelet out that has told the end, though nobody reads the output', async () => {
    const { process, peer } = await start();
    peer.send(1, Buffer.alloc(60 * KIB));
    await until('the output', () => process.stdout.readableLength === 60 * KIB);
    sendTogether(peer, () => {
      peer.send(1, Buffer.alloc(8 * KIB));
      peer.status({ status: 'Success' });
    });
    peer.send(1, 'late');
    expect(await rejection(process.exit)).to.include({ code: 'ERR_KUBELET_PROTOCOL' });
  });

  it('tells the exit code also when the kubelet cuts the connection behind it', async () => {
    const { process, peer } = await start();
    peer.ws.send(Buffer.from('\x03{"status":"Success"}'), () => peer.socket.end());
    expect(await process.exit).to.deep.equal({ code: 0 });
  });

  it('tells the exit code, and closes, also when the kubelet does not', async () => {
    const { process, peer } = await start();
    peer.status({ status: 'Success' });
    expect(await process.exit).to.deep.equal({ code: 0 });
    await peer.closed;
  });

  it('settles exit once everything was given to the outputs, read or not', async () => {
    const { process, peer } = await start();
    peer.send(1, 'x'.repeat(1000));
    peer.exit(0);
    expect(await process.exit).to.deep.equal({ code: 0 });
    expect(await text(process.stdout)).to.have.length(1000);
  });

  it('rejects with what the kubelet says of a command that could not be run', async () => {
    const { process, peer } = await start();
    peer.status({ status: 'Failure', message: 'no such\u001b[31m file', reason: 'InternalError', code: 500 });
    peer.ws.close(1000);
    const error = await failureOf(process);
    expect(error).to.be.instanceOf(StreamingError);
    expect(error).to.include({ code: 'ERR_KUBELET_COMMAND', reason: 'InternalError', status: 500 });
    expect(error.message).to.include('no such [31m file');
  });

  it('rejects with a text on the error channel that is no Status', async () => {
    const { process, peer } = await start();
    peer.send(3, 'container not running');
    const error = await failureOf(process);
    expect(error.code).to.equal('ERR_KUBELET_COMMAND');
    expect(error.message).to.include('container not running');
  });

  const exitCode = (causes: unknown) => (peer: Peer) =>
    peer.status({ status: 'Failure', reason: 'NonZeroExitCode', details: { causes } });
  const rubbish: Record<string, [(peer: Peer) => void, RegExp]> = {
    'a text message': [(peer) => peer.ws.send('hello'), /text message/],
    'a message without a channel': [(peer) => peer.ws.send(Buffer.alloc(0)), /without a channel/],
    'an unknown channel': [(peer) => peer.send(9, 'x'), /channel 9/],
    'the channel of stdin': [(peer) => peer.send(0, 'x'), /channel 0/],
    'an oversized message': [(peer) => peer.send(1, Buffer.alloc(2 * KIB * KIB)), /WebSocket/],
    'what is no WebSocket': [(peer) => void peer.socket.write(Buffer.alloc(4 * KIB, 0xff)), /WebSocket/],
    'a close without a Status': [(peer) => peer.ws.close(1000), /did not say how the command ended/],
    'a close for a reason': [(peer) => peer.ws.close(1011, 'idle'), /1011 \(idle\)/],
    'data after the Status': [
      (peer) => {
        peer.status({ status: 'Success' });
        peer.send(1, 'late');
      },
      /after the end of the command/,
    ],
    'two Statuses': [
      (peer) => {
        peer.status({ status: 'Success' });
        peer.exit(0);
      },
      /after the end of the command/,
    ],
    'an exit without a code': [exitCode(undefined), /not its exit code/],
    'an exit code that is none': [
      exitCode([null, { reason: 'ExitCode', message: 'x' }]),
      /not its exit code/,
    ],
  };
  for (const [what, [send, says]] of Object.entries(rubbish)) {
    it(`fails on ${what}`, async () => {
      const { process, peer } = await start();
      const failed = failureOf(process);
      send(peer);
      const error = await failed;
      expect(error).to.be.instanceOf(StreamingError).with.property('code', 'ERR_KUBELET_PROTOCOL');
      expect(error.message).to.match(says);
      await peer.closed;
      await noChannel();
    });
  }

  it('under v4 fails on the end of a channel, which only v5 has', async () => {
    kubelet.protocols = ['v4.channel.k8s.io'];
    const { process, peer } = await start();
    peer.send(255, '\x01');
    expect(await failureOf(process)).to.include({ code: 'ERR_KUBELET_PROTOCOL' });
  });

  it('takes no Status for a success that does not say so', async () => {
    const { process, peer } = await start();
    peer.status({ status: 'Unknown' });
    expect(await failureOf(process)).to.include({ code: 'ERR_KUBELET_COMMAND' });
  });

  it('fails all streams and exit when the tunnel is lost, and never ends them', async () => {
    const { process, peer } = await start({ stdin: true });
    peer.send(1, 'first');
    await read(process.stdout, 5);
    const failed = failureOf<TransportError>(process);
    const stdin = rejection(pipeline(endless(), process.stdin));
    kubelet.stage.ssh.cut('rst');
    const error = await failed;
    expect(error).to.be.instanceOf(TransportError).with.property('code', 'ECONNRESET');
    expect(await stdin).to.equal(error);
  });

  it('fails when the tunnel is lost while nobody reads', async () => {
    const { process, peer } = await start();
    for (let sent = 0; sent < 128; sent += 1) peer.send(1, Buffer.alloc(32 * KIB));
    await until('a full stdout', () => process.stdout.readableLength >= 64 * KIB);
    kubelet.stage.ssh.cut('rst');
    expect(await rejection(process.exit)).to.be.instanceOf(TransportError);
  });

  it('fails when the kubelet cuts the connection', async () => {
    const { process, peer } = await start();
    const failed = failureOf<TransportError>(process);
    peer.ws.terminate();
    expect((await failed).code).to.equal('ECONNRESET');
  });

  it('fails when the kubelet has begun to close, does not finish, and there is stdin to send', async () => {
    const { process, peer } = await start({ stdin: true });
    peer.ws.pause();
    // A close frame with 1000, RFC 6455 §5.5.1, to which the answer is not read.
    peer.socket.write(Buffer.from([0x88, 0x02, 0x03, 0xe8]));
    const writing = setInterval(() => process.stdin.write('x'), 10);
    try {
      expect(await rejection(process.exit)).to.include({ code: 'ECONNRESET' });
    } finally {
      clearInterval(writing);
    }
    await noChannel();
  });

  it('does not end the program by failures that nobody looks at', async () => {
    const unhandled = await unhandledDuring(async () => {
      const { process } = await start({ stdin: true });
      kubelet.stage.ssh.cut('rst');
      await until('the end', () =>
        [process.stdin, process.stdout, process.stderr].every(({ closed }) => closed),
      );
    });
    expect(unhandled).to.deep.equal([]);
  });

  it('sends stdin in bounded messages, and under v5 its end', async () => {
    const { process, peer } = await start({ stdin: true });
    process.stdin.write('a');
    process.stdin.write('b');
    process.stdin.end(Buffer.alloc(100_000, 'c'));
    await once(process.stdin, 'finish');
    await until('the end', () => peer.messages.at(-1)?.equals(Buffer.from([255, 0])) ?? false);
    expect(peer.received(0)).to.equal(`ab${'c'.repeat(100_000)}`);
    expect(Math.max(...peer.messages.map(({ length }) => length))).to.equal(32 * KIB + 1);
  });

  it('under v4 fails an end of stdin, which the command would never see', async () => {
    kubelet.protocols = ['v4.channel.k8s.io'];
    const { process, peer } = await start({ stdin: true });
    const failed = failureOf(process);
    const error = await rejection<StreamingError>(pipeline(Readable.from(['data']), process.stdin));
    expect(error).to.have.property('code', 'ERR_KUBELET_NO_HALF_CLOSE');
    expect(error.message).to.include('stdinEndUnderV4');
    expect(await failed).to.equal(error);
    await peer.closed;
  });

  it("under v4 sends nothing for an end of stdin with 'ignore'", async () => {
    kubelet.protocols = ['v4.channel.k8s.io'];
    const { process, peer } = await start({ stdin: true, stdinEndUnderV4: 'ignore' });
    await pipeline(Readable.from(['data']), process.stdin);
    await until('the data', () => peer.received(0) === 'data');
    peer.exit(3);
    expect((await process.exit).code).to.equal(3);
    expect(peer.messages).to.have.length(1);
  });

  it('calls a write back only when it has left: a kubelet that does not read holds stdin up', async () => {
    const { process, peer } = await start({ stdin: true });
    peer.socket.pause();
    let written = 0;
    const writeOn = (): void => {
      written += 64 * KIB;
      process.stdin.write(Buffer.alloc(64 * KIB), (error) => {
        if (!error && written < 64 * KIB * KIB) writeOn();
      });
    };
    writeOn();
    await kubelet.still(() => written);
    expect(written).to.be.lessThan(32 * KIB * KIB);
    expect(process.stdin.writableLength).to.equal(64 * KIB);
    process.destroy();
  });

  it('sends at most 1 MiB more than the kubelet has read', async () => {
    const { process, peer } = await start({ stdin: true });
    await hearAnswer(process, peer);
    peer.ws.pause();
    const total = 8 * KIB * KIB;
    let taken = 0;
    const sending = pipeline(function* () {
      for (; taken < total; taken += 64 * KIB) yield Buffer.alloc(64 * KIB);
    }, process.stdin);
    await kubelet.still(() => taken);
    expect(taken).to.be.within(KIB * KIB, KIB * KIB + 256 * KIB);
    const got = (): number => peer.messages.reduce((sum, { length }) => sum + length - 1, 0);
    peer.ws.resume();
    await sending;
    await until('the rest', () => got() === 1 + total);
    peer.exit(0);
    expect((await process.exit).code).to.equal(0);
  });

  it('sends on when it cannot hear what was read, because an output is full', async () => {
    const { process, peer } = await start({ stdin: true });
    await hearAnswer(process, peer);
    for (let sent = 0; sent < 8; sent += 1) peer.send(1, Buffer.alloc(32 * KIB));
    await until('a full stdout', () => process.stdout.readableLength >= 64 * KIB);
    await finished(process.stdin.end(Buffer.alloc(4 * KIB * KIB)));
    process.destroy();
  });

  it('leaves no timer when it is destroyed while nothing tells what was read', async () => {
    const { process: first } = await start();
    first.destroy();
    await noChannel();
    kubelet.script = (peer) => peer.ws.pause();
    await expectNoLeaks(async () => {
      const { process, peer } = await start({ stdin: true });
      const { last: socket } = kubelet.stage.recorder;
      process.stdin.write(Buffer.alloc(4 * KIB * KIB));
      await kubelet.still(() => socket.bytesWritten);
      process.destroy();
      peer.ws.resume();
      await peer.closed;
      await noChannel();
    });
  });

  it('stops reading while an output is full, and goes on when it is read', async () => {
    const { process, peer } = await start();
    const count = 1024;
    let sent = 0;
    const sendOn = (): void => {
      if (sent === count) peer.exit(0);
      else peer.send(1, Buffer.alloc(32 * KIB, 'x'), sendOn);
      sent += 1;
    };
    sendOn();
    await kubelet.still(() => sent);
    expect(process.stdout.readableLength).to.be.within(64 * KIB, 512 * KIB);
    expect(sent).to.be.lessThan(count);
    expect(await text(process.stdout)).to.have.length(count * 32 * KIB);
    expect((await process.exit).code).to.equal(0);
  });

  it('stops reading as long as one output is full, though the other is read', async () => {
    const { process, peer } = await start();
    for (const channel of [1, 2]) peer.send(channel, Buffer.alloc(60 * KIB));
    const lengths = (): number[] => [process.stdout.readableLength, process.stderr.readableLength];
    await until('the outputs', () => lengths().every((length) => length === 60 * KIB));
    sendTogether(peer, () => {
      for (const channel of [1, 2]) peer.send(channel, Buffer.alloc(5 * KIB));
    });
    await until('full outputs', () => lengths().every((length) => length === 65 * KIB));
    await read(process.stdout, 65 * KIB);
    for (let sent = 0; sent < 32; sent += 1) peer.send(2, Buffer.alloc(32 * KIB));
    await kubelet.still(() => process.stderr.readableLength);
    expect(lengths()).to.deep.equal([0, 65 * KIB]);
    process.destroy();
  });

  it('drops what comes for an output that was destroyed, and goes on', async () => {
    const { process, peer } = await start();
    process.stdout.destroy();
    for (let sent = 0; sent < 64; sent += 1) peer.send(1, Buffer.alloc(32 * KIB));
    peer.send(2, 'err');
    peer.exit(0);
    expect(await text(process.stderr)).to.equal('err');
    expect((await process.exit).code).to.equal(0);
  });

  it('goes on when an output that held it up is destroyed', async () => {
    const { process, peer } = await start();
    for (let sent = 0; sent < 64; sent += 1) peer.send(1, Buffer.alloc(32 * KIB));
    peer.send(2, 'err');
    peer.exit(0);
    await until('a full stdout', () => process.stdout.readableLength >= 64 * KIB);
    process.stdout.destroy();
    expect(await text(process.stderr)).to.equal('err');
    expect((await process.exit).code).to.equal(0);
  });

  it('closes when every output was destroyed', async () => {
    const { process, peer } = await start();
    process.stdout.destroy();
    process.stderr.destroy();
    await peer.closed;
    expect(await rejection(process.exit)).to.have.property('code', 'ERR_KUBELET_CLOSED');
  });

  it('closes when an output was destroyed with an error, as by a user who has gone', async () => {
    const { process, peer } = await start();
    const gone = new Error('the user has gone');
    process.stdout.destroy(gone);
    await peer.closed;
    expect(await rejection(process.exit)).to.equal(gone);
  });

  it('closes when stdin is destroyed before its end, which must not look like one', async () => {
    const { process, peer } = await start({ stdin: true });
    const broken = new Error('the source broke');
    const source = new Readable({ read: () => undefined });
    const piped = rejection(pipeline(source, process.stdin));
    source.destroy(broken);
    expect(await piped).to.equal(broken);
    expect(await rejection(process.exit)).to.equal(broken);
    await peer.closed;
    expect(peer.messages).to.deep.equal([]);
  });

  it('fails when a stdin that was not asked for is written to, before the command ends and after', async () => {
    const told = /stdin must be true to write to the command/;
    const { process } = await start();
    expect((await rejection(pipeline(Readable.from(['hello']), process.stdin))).message).to.match(told);
    expect((await failureOf<Error>(process)).message).to.match(told);
    const { process: ended, peer } = await start();
    peer.exit(0);
    expect(await ended.exit).to.deep.equal({ code: 0 });
    expect((await rejection(pipeline(Readable.from(['hello']), ended.stdin))).message).to.match(told);
  });

  it('takes no offence at the end of a stdin that was not asked for', async () => {
    const { process, peer } = await start();
    await finished(process.stdin.end());
    peer.exit(0);
    expect(await process.exit).to.deep.equal({ code: 0 });
  });

  it('tells whoever still writes that the command has ended', async () => {
    const { process, peer } = await start({ stdin: true });
    const failed = rejection(pipeline(endless(), process.stdin));
    await once(peer.ws, 'message');
    peer.exit(0);
    expect((await process.exit).code).to.equal(0);
    expect(await failed).to.be.instanceOf(Error);
  });

  it('closes the channel on the node when the signal is aborted', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const { process, peer } = await start({ signal: abort.signal });
    abort.abort(reason);
    expect(await failureOf<Error>(process)).to.equal(reason);
    await peer.closed;
    await noChannel();
  });

  it('closes the channel on the node when it is destroyed', async () => {
    const { process, peer } = await start();
    process.destroy();
    expect((await failureOf(process)).code).to.equal('ERR_KUBELET_CLOSED');
    await peer.closed;
    await noChannel();
  });

  it('is closed by `await using`, which waits until nothing is left', async () => {
    const { process, peer } = await start();
    let isLeft = true;
    kubelet.stage.recorder.last.once('close', () => (isLeft = false));
    await process[Symbol.asyncDispose]();
    expect(isLeft).to.equal(false);
    await peer.closed;
    await process[Symbol.asyncDispose]();
  });

  it('sends sizes of the terminal, of a burst the last', async () => {
    const { process, peer } = await start({ tty: true });
    for (let columns = 1; columns <= 1000; columns += 1) process.resize({ columns, rows: 24 });
    await until('the last size', () => peer.received(4).endsWith('{"Width":1000,"Height":24}'));
    expect(peer.messages.length).to.be.lessThan(1000);
    expect(() => process.resize({ columns: 0, rows: 1 })).to.throw(/size\.columns/);
  });

  it('has no size without a terminal', async () => {
    const { process } = await start();
    expect(() => process.resize({ columns: 80, rows: 24 })).to.throw(/tty must be true/);
  });

  describe('that is not opened', () => {
    it("rejects with the kubelet's answer", async () => {
      kubelet.refuse = answer('404 Not Found', 'pod does not exist');
      const error = await rejection(exec());
      expect(error).to.be.instanceOf(KubeletError);
      expect(error).to.include({ code: 'ERR_KUBELET_NOT_FOUND', status: 404, text: 'pod does not exist' });
    });

    it('tells a 403 of authorization from one of the subprotocol, which has no text', async () => {
      kubelet.refuse = answer('403 Forbidden', 'Forbidden (user=me, verb=get)');
      expect(await rejection(exec())).to.include({ code: 'ERR_KUBELET_FORBIDDEN' });
      kubelet.refuse = answer('403 Forbidden', '');
      const error = await rejection(exec());
      expect(error).to.include({ code: 'ERR_KUBELET_PROTOCOL' });
      expect(error.message).to.include('v5.channel.k8s.io, v4.channel.k8s.io');
    });

    it('rejects with so much of an endless answer as a person reads', async () => {
      kubelet.refuse = (socket) => {
        socket.write('HTTP/1.1 500 Internal Server Error\r\n\r\n');
        endless().pipe(socket);
      };
      const error = await rejection<KubeletError>(exec());
      expect(error.status).to.equal(500);
      expect(error.message.length).to.be.lessThan(2000);
    });

    it('rejects when the kubelet answers 200', async () => {
      kubelet.refuse = answer('200 OK', 'hello');
      expect(await rejection(exec())).to.include({ code: 'ERR_KUBELET_STATUS', status: 200 });
    });

    it('rejects when the kubelet agrees on no subprotocol', async () => {
      kubelet.protocols = [];
      expect(await rejection(exec())).to.include({ code: 'ERR_KUBELET_PROTOCOL' });
    });

    it('rejects with the error of the dial', async () => {
      kubelet.stage.ssh.faults.refuse({ reason: 2, description: 'Connection refused' });
      expect(await rejection(exec())).to.include({ code: 'ECONNREFUSED' });
    });

    it('rejects when the kubelet does not answer in time, or stalls within its answer', async () => {
      kubelet.refuse = () => undefined;
      expect(await rejection(exec({ timeoutMs: 200 }))).to.include({ code: 'ERR_KUBELET_TIMEOUT' });
      kubelet.refuse = (socket) => void socket.write('HTTP/1.1 500 Internal Server Error\r\n\r\nbecause');
      expect(await rejection(exec({ timeoutMs: 200 }))).to.include({ code: 'ERR_KUBELET_TIMEOUT' });
      await noChannel();
    });

    it('rejects with the reason of the signal, and leaves no channel', async () => {
      kubelet.refuse = () => undefined;
      const abort = new AbortController();
      const failed = rejection(exec({ signal: abort.signal }));
      await until('a channel', () => kubelet.stage.ssh.channels === 1);
      abort.abort('enough');
      expect(await failed).to.equal('enough');
      await noChannel();
      expect(await rejection(exec({ signal: AbortSignal.abort('before') }))).to.equal('before');
    });

    it('does not show the token', async () => {
      kubelet.refuse = answer('401 Unauthorized', 'Unauthorized');
      const error = await rejection(exec());
      expect(JSON.stringify(error) + String(error.stack)).to.not.include('secret');
    });
  });

  describe('options', () => {
    const wrong: [object, RegExp][] = [
      [{ namespace: '../x' }, /namespace must be a name/],
      [{ command: [] }, /command must begin/],
      [
        { command: 'date' },
        /command must be an array of the program and its arguments, such as .*, got a string$/,
      ],
      [{ tty: true, stderr: true }, /stderr cannot be had with tty/],
      [{ stdout: false, stderr: false }, /stdout must be true/],
      [{ timeout: 5 }, /did you mean timeoutMs/],
      [{ stdinEndUnderV4: 'close' }, /stdinEndUnderV4 must be/],
    ];
    for (const [options, says] of wrong) {
      it(`refuses ${JSON.stringify(options)}`, async () => {
        expect((await rejection(exec(options))).message).to.match(says);
        expect(kubelet.stage.recorder.options).to.deep.equal([]);
      });
    }
  });
});

const endless = (): Readable =>
  new Readable({
    read() {
      this.push(Buffer.alloc(16 * KIB));
    },
  });
