import { expect } from 'chai';
import { once } from 'node:events';
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { useFakeTimers, type SinonFakeTimers } from 'sinon';
import { KubeletError } from '../../../lib/kubelet/errors.js';
import { StreamingError } from '../../../lib/kubelet/streaming/errors.js';
import type { PortForwardOptions } from '../../../lib/kubelet/streaming/options.js';
import { openPortForward } from '../../../lib/kubelet/streaming/port-forward.js';
import { TransportError, type TunnelSocket } from '../../../lib/index.js';
import { readAll, read, rejection, until } from '../../support/dialer.js';
import { expectNoLeaks } from '../../support/leaks.js';
import { answer, ScriptedKubelet, type Peer } from './scripted-kubelet.js';

const PORT = 8080;
const KIB = 1024;

describe('kubelet: port-forward', () => {
  let kubelet: ScriptedKubelet;
  beforeEach(async () => {
    kubelet = await ScriptedKubelet.start();
    kubelet.script = greet;
  });
  afterEach(() => kubelet.end());

  const open = (options: Partial<PortForwardOptions> = {}): Promise<TunnelSocket> =>
    openPortForward(kubelet.access, { namespace: 'default', pod: 'web-0', port: PORT, ...options });

  const start = async (
    options: Partial<PortForwardOptions> = {},
  ): Promise<{ socket: TunnelSocket; peer: Peer }> => {
    const next = kubelet.next();
    const socket = await open(options);
    kubelet.stage.onEnd(() => socket.on('error', () => undefined).destroy());
    return { socket, peer: await next };
  };

  const failureOf = <T = StreamingError>(socket: Duplex): Promise<T> => rejection<T>(readAll(socket));

  const noChannel = (): Promise<void> => until('no channel', () => kubelet.stage.ssh.channels === 0);

  it('asks for the port in the query, under v4', async () => {
    const { peer } = await start();
    expect(peer.request.url).to.equal('/portForward/default/web-0?port=8080');
    expect(peer.request.headers['sec-websocket-protocol']).to.equal('v4.channel.k8s.io');
    expect(peer.request.headers.authorization).to.equal('Bearer secret');
  });

  it('carries bytes both ways, and ends when the pod does', async () => {
    const { socket, peer } = await start();
    socket.write(Buffer.alloc(100_000, 'x'));
    await until('the data', () => peer.received(0).length === 100_000);
    expect(Math.max(...peer.messages.map(({ length }) => length))).to.equal(32 * KIB + 1);
    peer.send(0, 'answer');
    peer.ws.close(1000);
    expect(await text(socket)).to.equal('answer');
    await until('the end of our side', () => socket.closed);
    await noChannel();
  });

  it('passes for a net.Socket of an HTTP client', async () => {
    const { socket, peer } = await start();
    const request = http.request({ host: 'pod', createConnection: () => socket });
    request.end();
    await until('the request', () => peer.received(0).endsWith('\r\n\r\n'));
    peer.send(0, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(await text(response)).to.equal('hello');
  });

  it('is destroyed with what the error channel says', async () => {
    const { socket, peer } = await start();
    peer.send(1, 'error forwarding port 8080 to pod x: connection\nrefused');
    peer.ws.close(1000);
    const error = await failureOf(socket);
    expect(error).to.be.instanceOf(StreamingError).with.property('code', 'ERR_KUBELET_PORT_FORWARD');
    expect(error.message).to.include('connection refused');
    await noChannel();
  });

  it('tells whoever awaits it of a failure that came with the consent', async () => {
    kubelet.script = (peer) => {
      peer.socket.cork();
      greet(peer);
      peer.send(1, 'connection refused');
      peer.socket.uncork();
    };
    const socket = await open();
    expect(await failureOf(socket)).to.have.property('code', 'ERR_KUBELET_PORT_FORWARD');
  });

  const rubbish: Record<string, [(peer: Peer) => void, RegExp]> = {
    'another port': [(peer) => peer.send(0, Buffer.from([80, 0])), /did not begin channel 0/],
    'data without the port before': [(peer) => peer.send(0, 'SSH-2.0'), /did not begin channel 0/],
    'an error without the port before': [(peer) => peer.send(1, 'no such pod'), /did not begin channel 1/],
    'an unknown channel': [(peer) => peer.send(2, 'x'), /channel 2/],
    'a text message': [(peer) => peer.ws.send('x'), /text message/],
    'an oversized message': [(peer) => peer.send(0, Buffer.alloc(2 * KIB * KIB)), /WebSocket/],
    'a close for a reason': [(peer) => peer.ws.close(1001, 'restarting'), /1001 \(restarting\)/],
  };
  for (const [what, [send, says]] of Object.entries(rubbish)) {
    it(`is destroyed by ${what}`, async () => {
      kubelet.script = () => undefined;
      const { socket, peer } = await start();
      const failed = failureOf(socket);
      send(peer);
      const error = await failed;
      expect(error).to.have.property('code', 'ERR_KUBELET_PROTOCOL');
      expect(error.message).to.match(says);
      await peer.closed;
      await noChannel();
    });
  }

  it('fails when the tunnel is lost, and never ends', async () => {
    const { socket, peer } = await start();
    peer.send(0, 'first');
    await read(socket, 5);
    const failed = failureOf<TransportError>(socket);
    kubelet.stage.ssh.cut('rst');
    expect(await failed)
      .to.be.instanceOf(TransportError)
      .with.property('code', 'ECONNRESET');
  });

  it('fails when the kubelet cuts the connection, and a write that has not left', async () => {
    const { socket, peer } = await start();
    peer.socket.pause();
    const failed = failureOf<TransportError>(socket);
    const writes = Promise.all(
      Array.from({ length: 512 }, () =>
        rejection(written(socket, Buffer.alloc(64 * KIB))).catch(() => undefined),
      ),
    );
    await kubelet.still(() => socket.writableLength);
    peer.socket.destroy();
    expect((await failed).code).to.equal('ECONNRESET');
    expect((await writes).filter((error) => error !== undefined)).to.not.be.empty;
  });

  describe('after end()', () => {
    let clock: SinonFakeTimers | undefined;
    afterEach(() => clock?.restore());

    /** A connection whose pod has had the end of what was sent to it, and a clock that the test moves. */
    const ended = async (
      behind?: (peer: Peer) => void,
    ): Promise<{ socket: TunnelSocket; peer: Peer; clock: SinonFakeTimers }> => {
      const { socket, peer } = await start({ lingerMs: 1000 });
      behind?.(peer);
      if (behind !== undefined) await until('a full socket', () => socket.readableLength >= 64 * KIB);
      clock = useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldClearNativeTimers: true });
      socket.end('request');
      await until('the end of writing', () => socket.writableFinished);
      return { socket, peer, clock };
    };

    it('reads the answer to its end, however long it takes while data comes', async () => {
      const { socket, peer, clock } = await ended();
      const answered = text(socket);
      for (let part = 1; part <= 8; part += 1) {
        clock.tick(999);
        peer.send(0, 'x');
        await until('the data', () => socket.bytesRead === part);
      }
      peer.ws.close(1000);
      expect(await answered).to.equal('xxxxxxxx');
    });

    it('does not take a reader that is behind for a silent pod', async () => {
      const { socket, clock } = await ended((peer) => {
        for (let sent = 0; sent < 64; sent += 1) peer.send(0, Buffer.alloc(32 * KIB));
        peer.ws.close(1000);
      });
      clock.tick(10_000);
      expect(await readAll(socket)).to.have.length(64 * 32 * KIB);
    });
  });

  it('closes when the pod is silent after end(), and does not call that an end', async () => {
    const { socket, peer } = await start({ lingerMs: 50 });
    peer.send(0, 'x');
    const failed = failureOf(socket);
    socket.end();
    const error = await failed;
    expect(error).to.have.property('code', 'ERR_KUBELET_NO_HALF_CLOSE');
    expect(error.message).to.include('lingerMs');
    await peer.closed;
    await noChannel();
  });

  it('leaves no timer when it is destroyed after end(), or the pod ends', async () => {
    const first = await start();
    first.socket.destroy();
    await first.peer.closed;
    await noChannel();
    for (const finish of [
      ({ socket }: { socket: TunnelSocket }) => socket.destroy(),
      ({ peer }: { peer: Peer }) => peer.ws.close(1000),
    ]) {
      await expectNoLeaks(async () => {
        const { socket, peer } = await start({ lingerMs: 600_000 });
        socket.resume().end();
        await until('the end of writing', () => socket.writableFinished);
        finish({ socket, peer });
        await peer.closed;
        await noChannel();
      });
    }
  });

  it('keeps no more of what came than what waits to be read', async () => {
    const { socket, peer } = await start();
    // One byte of data at the end of 16 KiB of pongs, which nobody asked for.
    const pong = Buffer.concat([Buffer.from([0x8a, 125]), Buffer.alloc(125)]);
    const block = Buffer.concat([
      ...Array.from({ length: 128 }, () => pong),
      Buffer.from([0x82, 2, 0, 0x41]),
    ]);
    for (let count = 0; count < 20; count += 1) peer.socket.write(block);
    await until('all of it', () => socket.readableLength === 20);
    const kept = new Set<ArrayBufferLike>();
    socket.on('data', ({ buffer }: Buffer) => kept.add(buffer));
    await until('the last', () => socket.readableLength === 0);
    const bytes = [...kept].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(bytes).to.be.at.most(4 * Buffer.poolSize);
  });

  it('stops reading while the reader is behind', async () => {
    const { socket, peer } = await start();
    let sent = 0;
    const sendOn = (): void => {
      if (sent === 1024) peer.ws.close(1000);
      else peer.send(0, Buffer.alloc(32 * KIB), sendOn);
      sent += 1;
    };
    sendOn();
    await kubelet.still(() => sent);
    expect(socket.readableLength).to.be.within(64 * KIB, 512 * KIB);
    expect(sent).to.be.lessThan(1024);
    expect(await readAll(socket)).to.have.length(1024 * 32 * KIB);
  });

  it('closes the channel on the node when it is destroyed, or the signal is aborted', async () => {
    const one = await start();
    one.socket.destroy();
    await one.peer.closed;

    const abort = new AbortController();
    const two = await start({ signal: abort.signal });
    const failed = failureOf<Error>(two.socket);
    const reason = new Error('enough');
    abort.abort(reason);
    expect(await failed).to.equal(reason);
    await two.peer.closed;
    await noChannel();
  });

  it("rejects with the kubelet's answer", async () => {
    kubelet.refuse = answer('404 Not Found', 'pod not found');
    const error = await rejection(open());
    expect(error).to.be.instanceOf(KubeletError).with.property('text', 'pod not found');
  });

  it('refuses a port that is none', async () => {
    for (const port of [0, 65536, 1.5, '80']) {
      const error = await rejection(open({ port: port as number }));
      expect(error.message).to.match(/^port must be/);
    }
    expect(kubelet.stage.recorder.options).to.deep.equal([]);
  });
});

/** What a kubelet sends first. */
function greet(peer: Peer): void {
  const port = Buffer.from([PORT & 0xff, PORT >> 8]);
  peer.send(0, port);
  peer.send(1, port);
}

const written = (socket: Duplex, chunk: Buffer): Promise<void> =>
  new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())));
