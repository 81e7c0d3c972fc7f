import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { startBlackHole } from './black-hole.js';
import {
  refusedEndpoint,
  startAnswerAfterEnd,
  startEarlyEnd,
  startEcho,
  startEndpoint,
  startNeverReads,
  startReset,
  startSink,
  startSource,
} from './endpoints.js';
import { expectNoLeaks } from './leaks.js';
import { patternBlocks, patternSha256, patternStream } from './pattern.js';
import { exchange } from './raw-client.js';

const MIB = 1024 * 1024;

function dial({ host, port }: { host: string; port: number }): Socket {
  return connect({ host, port, allowHalfOpen: true });
}

async function codeOf(socket: Socket): Promise<string | undefined> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  return error.code;
}

describe('endpoints', () => {
  it('echo what they get, and end when the peer has ended', async () => {
    await using echo = await startEcho();
    expect(await exchange(dial(echo), 'hello')).to.equal('hello');
  });

  it('count and hand out their connections', async () => {
    await using echo = await startEcho();
    const next = echo.nextConnection();
    const socket = dial(echo);
    const accepted = await next;
    expect(accepted.remotePort).to.equal(socket.localPort);
    expect(echo).to.include({ accepted: 1 });
    expect([...echo.sockets]).to.deep.equal([accepted]);
    accepted.destroy();
    await once(accepted, 'close');
    expect(echo.sockets.size).to.equal(0);
    socket.destroy();
  });

  it('send a pattern that its seed determines', async () => {
    await using source = await startSource(3 * MIB + 5, { seed: 7 });
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of dial(source).end() as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    expect(bytes).to.equal(3 * MIB + 5);
    expect(hash.digest('hex')).to.equal(patternSha256(3 * MIB + 5, 7));
    expect(patternSha256(3 * MIB + 5, 8)).to.not.equal(patternSha256(3 * MIB + 5, 7));
  });

  it('take everything and answer with its hash', async () => {
    await using sink = await startSink();
    const socket = dial(sink);
    const answer = (async () => Buffer.concat((await socket.toArray()) as Buffer[]).toString())();
    await pipeline(patternStream(2 * MIB, 3), socket);
    const sha256 = patternSha256(2 * MIB, 3);
    expect(await answer).to.equal(sha256);
    expect(await sink.waitForReceived(1)).to.deep.equal([{ bytes: 2 * MIB, sha256, ended: true }]);
  });

  it('tell what was cut off from what was ended', async () => {
    await using sink = await startSink();
    const socket = dial(sink);
    const connection = sink.nextConnection();
    socket.write('abc');
    await once(await connection, 'data');
    socket.resetAndDestroy();
    const [received] = await sink.waitForReceived(1);
    expect(received).to.include({ bytes: 3, ended: false });
  });

  it('answer after the end of the peer, or end before it', async () => {
    await using after = await startAnswerAfterEnd('late');
    expect(await exchange(dial(after), 'question')).to.equal('late');
    await using early = await startEarlyEnd('early');
    const socket = dial(early).setEncoding('utf8');
    let greeting = '';
    socket.on('data', (text: string) => (greeting += text));
    await once(socket, 'end');
    expect(greeting).to.equal('early');
    expect(socket.writable).to.be.true;
    socket.end();
  });

  it('leave what is sent to them with the sender', async () => {
    await using deaf = await startNeverReads();
    const socket = dial(deaf);
    let sent = 0;
    for (const block of patternBlocks(64 * MIB)) {
      sent += block.length;
      if (!socket.write(block) && socket.writableLength > 8 * MIB) break;
    }
    expect(sent).to.be.below(64 * MIB);
    expect([...deaf.sockets].every(({ bytesRead }) => bytesRead === 0)).to.be.true;
    socket.destroy();
  });

  it('reset the connection, at once or after some bytes', async () => {
    await using atOnce = await startReset();
    expect(await codeOf(dial(atOnce))).to.equal('ECONNRESET');
    await using later = await startReset(1000);
    const socket = dial(later);
    socket.write('?');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    // Node sends FIN before RST; whoever writes after that learns of the reset.
    socket.on('end', () => socket.write('?'));
    expect(await codeOf(socket)).to.be.oneOf(['ECONNRESET', 'EPIPE']);
    expect(bytes).to.be.at.most(1000);
  });

  it('refuse', async () => {
    expect(await codeOf(dial(await refusedEndpoint()))).to.equal('ECONNREFUSED');
  });

  it('leave nothing behind when they are closed with connections open', () =>
    expectNoLeaks(async () => {
      const echo = await startEcho();
      const sockets = [dial(echo), dial(echo)];
      for (const socket of sockets) socket.on('error', () => undefined);
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      await echo.close();
      for (const socket of sockets) socket.destroy();
    }));

  it('swallow connections without an answer', async () => {
    await using echo = await startEcho();
    const someTime = async () => {
      for (let round = 0; round < 20; round++) await exchange(dial(echo), 'x');
    };
    await using hole = await startBlackHole();
    await someTime(); // enough for it to accept what waits, if it did
    const socket = dial(hole);
    const outcome: string[] = [];
    socket.on('connect', () => outcome.push('connected')).on('error', () => outcome.push('refused'));
    await someTime(); // on loopback the kernel answers within the call that connects, or not at all
    expect(outcome).to.be.empty;
    expect(socket.connecting).to.be.true;
    socket.destroy();
  });

  it('serve as the test wishes', async () => {
    await using endpoint = await startEndpoint((socket) => void socket.end('own'));
    expect(await exchange(dial(endpoint), '')).to.equal('own');
  });
});
