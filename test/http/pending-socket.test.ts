import { expect } from 'chai';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import {
  InvalidOptionError,
  TransportError,
  type Dialer,
  type DialOptions,
  type TunnelSocket,
} from '../../lib/index.js';
import { PendingSocket } from '../../lib/http/pending-socket.js';
import { echo, gate, readAll, rejection, until } from '../support/dialer.js';
import { Stage } from './stage.js';

/** A dialer that does as a test says. */
const dialerOf = (
  dial: (host: string, port: number, options?: DialOptions) => Promise<TunnelSocket>,
): Dialer => ({
  dial,
  close: () => Promise.resolve(),
  destroy: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

const failure = (socket: PendingSocket): Promise<Error> =>
  new Promise((resolve) => socket.once('error', resolve));

describe('http: a socket that is being dialled', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  const open = async (serve = echo, options: { allowHalfOpen?: boolean } = {}): Promise<PendingSocket> => {
    const { port } = await stage.endpoint(serve);
    return new PendingSocket({ dialer: stage.recorder, host: '127.0.0.1', port, ...options });
  };

  it('takes what is written before it is connected, and sends it in order', async () => {
    const socket = await open();
    for (const word of ['one ', 'two ', 'three']) socket.write(word);
    socket.end(' four');
    expect(socket).to.include({
      connecting: true,
      pending: true,
      readyState: 'opening',
      remoteAddress: undefined,
    });
    expect(await text(socket)).to.equal('one two three four');
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('passes for a net.Socket once it is connected', async () => {
    const socket = await open();
    await once(socket, 'connect');
    expect(socket).to.include({
      connecting: false,
      readyState: 'open',
      node: 'node-1',
      remoteAddress: '127.0.0.1',
      remotePort: stage.recorder.last.remotePort,
      remoteFamily: 'IPv4',
      isReusable: true,
    });
    expect(socket.setNoDelay().setKeepAlive().ref().unref().address()).to.deep.equal({});
    socket.write('four');
    await once(socket, 'data');
    expect(socket).to.include({ bytesRead: 4, bytesWritten: 4 });
    socket.destroySoon();
    await once(socket, 'close');
    expect(socket).to.include({ readyState: 'closed', isReusable: false });
  });

  it('ends its side when the endpoint has ended its own', async () => {
    const socket = await open((endpoint) => void endpoint.resume().end('bye'));
    expect(await text(socket)).to.equal('bye');
    await stage.ssh.until(({ channels }) => channels === 0);
    expect(socket.isReusable).to.equal(false);
  });

  it('leaves its side open with allowHalfOpen', async () => {
    let received: Promise<string> | undefined;
    const socket = await open(
      (endpoint) => {
        endpoint.end('bye');
        received = text(endpoint);
      },
      { allowHalfOpen: true },
    );
    // Reading with `for await` would destroy the socket at its end.
    expect((await readAll(socket)).toString()).to.equal('bye');
    socket.end('still here');
    expect(await received).to.equal('still here');
  });

  it('sends what was still buffered when the endpoint ended', async () => {
    let received: Promise<string> | undefined;
    const socket = await open((endpoint) => {
      endpoint.end();
      received = text(endpoint);
    });
    const sent = 'x'.repeat(5_000_000);
    socket.resume().write(sent);
    await once(socket, 'end');
    expect(await received).to.equal(sent);
  });

  it('fails writes and itself with the error of the dial', async () => {
    const reason = new InvalidOptionError('host', 'is wrong');
    const { opened, open: refuse } = gate();
    const dialer = dialerOf(async () => {
      await opened;
      throw reason;
    });
    const socket = new PendingSocket({ dialer, host: 'h', port: 1 });
    const written = new Promise((resolve) => socket.write('lost', resolve));
    const failed = failure(socket);
    refuse();
    expect(await failed).to.equal(reason);
    expect(await written).to.equal(reason);
  });

  it('fails when dial() throws at once, and when it rejects with no Error', async () => {
    const throwing = dialerOf(() => {
      throw new Error('at once');
    });
    expect(await failure(new PendingSocket({ dialer: throwing, host: 'h', port: 1 }))).to.include({
      message: 'at once',
    });
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- that a dialer may do so is the case
    const odd = dialerOf(() => Promise.reject('text'));
    expect(await failure(new PendingSocket({ dialer: odd, host: 'h', port: 1 }))).to.include({
      message: 'text',
    });
  });

  it('closes a stream that a dialer hands over after it was told to stop', async () => {
    const { port } = await stage.endpoint();
    const { opened, open: go } = gate();
    const stubborn = dialerOf(async (host, to) => {
      await opened;
      return stage.recorder.dial(host, to);
    });
    const socket = new PendingSocket({ dialer: stubborn, host: '127.0.0.1', port });
    socket.destroy();
    go();
    await until('the stream', () => stage.recorder.sockets.length === 1);
    await until('its end', () => stage.recorder.last.destroyed);
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('fails writes when it is destroyed before it is connected', async () => {
    const socket = new PendingSocket({
      dialer: dialerOf(() => new Promise(() => undefined)),
      host: 'h',
      port: 1,
    });
    const written = new Promise((resolve) => socket.write('lost', resolve));
    socket.destroy();
    expect(await written)
      .to.be.instanceOf(TransportError)
      .with.property('code', 'ECONNRESET');
  });

  it('does not end cleanly when its stream is closed underneath it', async () => {
    const socket = await open();
    await once(socket, 'connect');
    const failed = rejection(text(socket));
    stage.recorder.last.destroy();
    expect(await failed)
      .to.be.instanceOf(TransportError)
      .with.property('code', 'ECONNRESET');
  });
});
