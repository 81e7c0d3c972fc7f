import { expect } from 'chai';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { EndpointError, type TunnelSocket } from '../../lib/index.js';
import { listen } from '../../lib/listen/index.js';
import { relay } from '../../lib/listen/relay.js';
import { reset } from '../../lib/listen/reset.js';
import { Stage } from '../http/stage.js';
import { Lab, roundTrip, turns, until } from '../support/dialer.js';
import { connect, fate, use } from './clients.js';

const HOST = '127.0.0.1';

describe('listen: the stream of a client', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  async function client(): Promise<Socket> {
    const { port } = await stage.endpoint();
    const socket = connect(stage, await use(stage, listen(stage.recorder, { host: HOST, port })));
    await roundTrip(socket);
    return socket;
  }

  const cuts: Record<string, Error | undefined> = {
    'is closed without an error': undefined,
    'is closed by an endpoint that had not finished': new EndpointError('ECONNRESET', 'closed the stream'),
  };
  for (const [what, error] of Object.entries(cuts)) {
    it(`that ${what} resets the client`, async () => {
      const ended = fate(await client());
      stage.recorder.last.destroy(error);
      expect(await ended).to.equal('ECONNRESET');
    });
  }
});

describe('listen: between an end and a reset', () => {
  const lab = new Lab();
  afterEach(() => lab.end());

  /** Both ends of a connection. */
  async function pair(): Promise<{ client: Socket; peer: Socket }> {
    const server = net.createServer({ allowHalfOpen: true }).listen(0, HOST);
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const { port } = server.address() as net.AddressInfo;
    const peer = net.connect({ port, host: HOST, allowHalfOpen: true });
    const [[client]] = await Promise.all([accepted, once(peer, 'connect')]);
    for (const socket of [client, peer]) lab.onEnd(() => socket.on('error', () => undefined).destroy());
    client.on('error', () => undefined);
    server.close();
    return { client, peer };
  }

  /** A stream that takes everything, and notes whether it was ended. */
  function sink(): { tunnel: TunnelSocket; isEnded: () => boolean } {
    const tunnel = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    lab.onEnd(() => tunnel.destroy());
    return { tunnel: tunnel as TunnelSocket, isEnded: () => tunnel.writableEnded };
  }

  it('a reset that looks like an end is none to the endpoint', async () => {
    const { client, peer } = await pair();
    const { tunnel, isEnded } = sink();
    relay(client, tunnel, true);
    // As libuv does it with a reset that comes while nobody reads.
    peer.resetAndDestroy();
    client.push(null);
    await once(tunnel, 'close');
    expect(isEnded()).to.equal(false);
  });

  it('an end is one to the endpoint, and leaves both sides open', async () => {
    const { client, peer } = await pair();
    const { tunnel, isEnded } = sink();
    relay(client, tunnel, true);
    peer.end();
    await once(tunnel, 'finish');
    await turns(5);
    expect([isEnded(), tunnel.destroyed, client.destroyed]).to.deep.equal([true, false, false]);
  });

  it('a client whose end is on its way is closed, too', async () => {
    const { client, peer } = await pair();
    client.end();
    reset(client, true);
    await once(peer.resume(), 'end');
    // What it sends now, nobody has a socket for.
    const refused = once(peer, 'error');
    await until('the error', () => {
      peer.write('x');
      return peer.destroyed;
    });
    expect((await refused)[0])
      .to.have.property('code')
      .that.is.oneOf(['ECONNRESET', 'EPIPE']);
  });
});
