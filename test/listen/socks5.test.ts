import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Socket } from 'node:net';
import sinon from 'sinon';
import { SocksClient } from 'socks';
import {
  AllNodesFailedError,
  ChannelRefusedError,
  EndpointError,
  NoRouteError,
  TransportError,
  type DialOptions,
} from '../../lib/index.js';
import { socks5, type LocalListener, type Socks5Options, type TcpAddress } from '../../lib/listen/index.js';
import { Stage } from '../http/stage.js';
import { gate, readAll, roundTrip, turn, until } from '../support/dialer.js';
import { connect, fate, use } from './clients.js';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const LOGIN = { username: 'operator', password: 'a secret' };

/** A request for 127.0.0.1 port 1, after a greeting without login. */
const REQUEST = Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 1]);

describe('socks5', () => {
  let stage: Stage;
  let port: number;
  beforeEach(async () => {
    stage = await Stage.start();
    ({ port } = await stage.endpoint());
  });
  afterEach(() => stage.end());

  const proxy = (options?: Socks5Options): Promise<LocalListener<TcpAddress>> =>
    use(stage, socks5(stage.recorder, options as Socks5Options<object>));

  /** Everything that the proxy answers to these bytes, in hex. */
  async function answerTo(listener: LocalListener, ...pieces: readonly Buffer[]): Promise<string> {
    const client = connect(stage, listener);
    for (const piece of pieces) client.write(piece);
    return (await readAll(client)).toString('hex');
  }

  /** Replaces what a dial does, and notes what was asked for. */
  function dialing(act: (host: string, port: number, options?: DialOptions) => unknown): void {
    stage.recorder.dial = async (host, to, options) => {
      await act(host, to, options);
      throw new EndpointError('ECONNREFUSED', 'nothing was dialled');
    };
  }

  describe('with curl', () => {
    const curl = async (url: string, ...args: string[]): Promise<string> =>
      (await run('curl', ['-sS', '--max-time', '10', '--noproxy', '', ...args, url])).stdout;
    let web: number;
    beforeEach(async () => {
      ({ port: web } = await stage.http((_request, response) => response.end('hello')));
    });

    it('carries a request by address, by a name that the node resolves, and with a login', async () => {
      const { address } = await proxy();
      const at = `${address.host}:${address.port}`;
      expect(await curl(`http://127.0.0.1:${web}/`, '--socks5', at)).to.equal('hello');
      expect(await curl(`http://localhost:${web}/`, '--socks5-hostname', at)).to.equal('hello');
      const { url = '' } = await proxy(LOGIN);
      const user = ['-U', `${LOGIN.username}:${LOGIN.password}`];
      expect(await curl(`http://localhost:${web}/`, '--proxy', url, ...user)).to.equal('hello');
      expect(stage.recorder.sockets.map(({ remoteAddress }) => remoteAddress)).to.deep.equal([
        HOST,
        'localhost',
        'localhost',
      ]);
    });

    it('refuses a wrong password, and none', async () => {
      const { url = '' } = await proxy(LOGIN);
      for (const user of [['-U', 'operator:wrong'], ['-U', 'other:a secret'], []]) {
        const outcome = await curl(`http://127.0.0.1:${web}/`, '--proxy', url, ...user).catch(
          (error: unknown) => (error as { code: number }).code,
        );
        expect(outcome).to.equal(97);
      }
      expect(stage.recorder.sockets).to.have.length(0);
    });
  });

  it('carries bytes for the socks package, by IPv4, IPv6 and name', async () => {
    const asked: string[] = [];
    const dial = stage.recorder.dial.bind(stage.recorder);
    stage.recorder.dial = (host, to, options) => {
      asked.push(host);
      return dial(HOST, to, options);
    };
    const { address } = await proxy();
    for (const host of ['10.0.0.1', 'fd00::a:1', '::ffff:10.0.0.1', 'web.default.svc']) {
      const { socket } = await SocksClient.createConnection({
        command: 'connect',
        proxy: { host: address.host, port: address.port, type: 5 },
        destination: { host, port },
      });
      stage.onEnd(() => socket.destroy());
      await roundTrip(socket, host);
    }
    expect(asked).to.deep.equal(['10.0.0.1', 'fd00::a:1', '::ffff:10.0.0.1', 'web.default.svc']);
  });

  it('takes messages byte by byte, and several in one piece with data behind them', async () => {
    const listener = await proxy();
    const request = Buffer.from(REQUEST);
    request.writeUInt16BE(port, request.length - 2);
    const slow = connect(stage, listener);
    for (const byte of request) {
      slow.write(Buffer.from([byte]));
      await turn();
    }
    slow.end('data');
    const expected = `050005000001000000000000${Buffer.from('data').toString('hex')}`;
    expect((await readAll(slow)).toString('hex')).to.equal(expected);
    const hasty = connect(stage, listener);
    hasty.end(Buffer.concat([request, Buffer.from('data')]));
    expect((await readAll(hasty)).toString('hex')).to.equal(expected);
  });

  const cause = new EndpointError('ECONNREFUSED', 'x');
  const prohibited = new ChannelRefusedError('ERR_TUNNEL_PROHIBITED', 'x');
  const replies: [string, Error, number][] = [
    ['a refused connection', cause, 5],
    ['a host that cannot be reached', new EndpointError('EHOSTUNREACH', 'x'), 4],
    ['a name that does not exist', new EndpointError('ENOTFOUND', 'x'), 4],
    ['a network that cannot be reached', new EndpointError('ENETUNREACH', 'x'), 3],
    ['what sshd does not allow', prohibited, 2],
    ['what the sshd of every node does not allow', new AllNodesFailedError([prohibited, prohibited], 'x'), 2],
    ['nodes that fail in different ways', new AllNodesFailedError([prohibited, cause], 'x'), 1],
    ['a timeout', new EndpointError('ETIMEDOUT', 'x'), 1],
    ['no route', new NoRouteError('x'), 1],
    ['a lost tunnel', new TransportError('ERR_TUNNEL_LOST', 'x'), 1],
    ['anything else', new Error('x'), 1],
  ];
  for (const [what, error, code] of replies) {
    it(`replies ${code} for ${what}, and ends cleanly`, async () => {
      dialing(() => {
        throw error;
      });
      const answer = await answerTo(await proxy(), REQUEST);
      expect(answer).to.equal(`0500050${code}0001000000000000`);
    });
  }

  it('replies 1 for a name that is none, without having dialled a node', async () => {
    const name = Buffer.from('-no name-');
    const request = Buffer.concat([
      Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]),
      name,
      Buffer.from([0, 1]),
    ]);
    expect(await answerTo(await proxy(), request)).to.equal('050005010001000000000000');
    expect(stage.ssh.totalChannels).to.equal(0);
  });

  it('replies 7 to BIND and UDP ASSOCIATE, and 8 to an address type that does not exist', async () => {
    const listener = await proxy();
    for (const command of [2, 3, 9]) {
      const request = Buffer.from(REQUEST);
      request[4] = command;
      expect(await answerTo(listener, request)).to.equal('050005070001000000000000');
    }
    const request = Buffer.from(REQUEST);
    request[6] = 9;
    expect(await answerTo(listener, request)).to.equal('050005080001000000000000');
    expect(stage.recorder.options).to.have.length(0);
  });

  it('accepts no method that it does not know, and none without a login when it has one', async () => {
    const gssapi = Buffer.from([5, 1, 1]);
    expect(await answerTo(await proxy(), gssapi)).to.equal('05ff');
    expect(await answerTo(await proxy(), Buffer.from([5, 0]))).to.equal('05ff');
    const guarded = await proxy(LOGIN);
    expect(await answerTo(guarded, Buffer.from([5, 2, 0, 1]))).to.equal('05ff');
    expect(await answerTo(guarded, Buffer.from([5, 2, 0, 2]), Buffer.from([1, 0, 0]))).to.equal('05020101');
    // A request that comes in place of the login.
    await gone(send(guarded, Buffer.from([5, 1, 2]), REQUEST.subarray(3)));
    expect(stage.recorder.options).to.have.length(0);
  });

  function send(listener: LocalListener, ...pieces: readonly Buffer[]): Socket {
    const client = connect(stage, listener);
    for (const piece of pieces) client.write(piece);
    return client;
  }

  /** Waits until a client is cut off. With data before it, libuv may take a reset for an end. */
  async function gone(client: Socket): Promise<void> {
    expect(await fate(client)).to.be.oneOf(['ECONNRESET', 'end']);
  }

  const rubbish: Record<string, Buffer> = {
    'a request of a web page': Buffer.from('POST / HTTP/1.1\r\nHost: localhost\r\n\r\n\x05\x01\x00'),
    TLS: Buffer.from([0x16, 3, 1, 2, 0]),
    SOCKS4: Buffer.from([4, 1, 0, 80, 127, 0, 0, 1, 0]),
    'a request without a greeting': Buffer.from([5, 1, 0, 1]),
  };
  for (const [what, bytes] of Object.entries(rubbish)) {
    it(`dials nothing for ${what}`, async () => {
      const listener = await proxy({ requestTimeoutMs: 50 });
      await gone(send(listener, bytes));
      expect(stage.recorder.options).to.have.length(0);
    });
  }

  it('gives the whole answer to a client that goes on sending behind what is refused', async () => {
    const listener = await proxy();
    await stage.recorder.dial(HOST, port); // the connection to the node has no timer to set any more
    const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    stage.onEnd(() => clock.restore());
    const bind = Buffer.from(REQUEST);
    bind[4] = 2;
    const client = send(listener, bind);
    // More than the kernel holds: what is not read does not leave.
    await new Promise<void>((resolve, reject) => {
      client.write(Buffer.alloc(10_000_000), (error) => (error ? reject(error) : resolve()));
    });
    expect((await readAll(client)).toString('hex')).to.equal('050005070001000000000000');
    client.end();
    await until('no connection', () => listener.connections === 0);
    expect(clock.countTimers()).to.equal(0);
  });

  it('resets a client that ends its side before it has said where to', async () => {
    const listener = await proxy();
    for (const bytes of [0, 3, REQUEST.length - 1]) {
      const client = connect(stage, listener);
      client.end(REQUEST.subarray(0, bytes));
      await gone(client);
    }
    expect(stage.recorder.options).to.have.length(0);
  });

  it('resets a client that takes too long to say where to', async () => {
    const listener = await proxy({ requestTimeoutMs: 20 });
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    expect(await fate(send(listener, REQUEST.subarray(0, 9)))).to.equal('ECONNRESET');
    expect(stage.recorder.options).to.have.length(0);
  });

  it('lets a client and its dial take their time once it has said where to', async () => {
    const { opened, open } = gate();
    stage.ssh.faults.confirmLate(opened);
    const listener = await proxy({ requestTimeoutMs: 20 });
    const request = Buffer.from(REQUEST);
    request.writeUInt16BE(port, request.length - 2);
    // Whoever connects later and is late shows that the first one's time is over.
    const outlast = async (): Promise<void> => {
      expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    };
    const client = send(listener, request);
    await stage.ssh.until((node) => node.pendingOpens === 1);
    await outlast();
    open();
    await until('the stream', () => stage.recorder.sockets.length === 1);
    await outlast();
    client.end('late');
    expect((await readAll(client)).toString()).to.match(/late$/);
  });

  it('gives the dial up when its client goes away', async () => {
    stage.ssh.faults.neverAnswer();
    const listener = await proxy();
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const client = send(listener, REQUEST);
      await stage.ssh.until((node) => node.pendingOpens === 1);
      client[leave]();
      await until('no connection', () => listener.connections === 0);
      expect(stage.recorder.options.at(-1)?.signal?.aborted).to.equal(true);
      await stage.ssh.until((node) => node.pendingOpens <= 1);
      stage.ssh.cut('fin');
      await stage.ssh.until((node) => node.pendingOpens === 0);
    }
  });

  it('resets a client whose node is lost', async () => {
    const request = Buffer.from(REQUEST);
    request.writeUInt16BE(port, request.length - 2);
    const client = send(await proxy(), request);
    await until('the stream', () => stage.recorder.sockets.length === 1);
    const ended = fate(client);
    stage.ssh.cut('rst');
    expect(await ended).to.equal('ECONNRESET');
  });
});
