import { expect } from 'chai';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import tls, { type TLSSocket } from 'node:tls';
import { httpsAgent, httpsConnection } from '../../lib/http/index.js';
import type { Dialer } from '../../lib/index.js';
import { createAuthority } from '../../lib/testing/certificates.js';
import { roundTrip } from '../support/dialer.js';
import { Stage } from './stage.js';

const authority = createAuthority('cluster-ca');
const own = authority.issue({ commonName: 'endpoint', altNames: ['127.0.0.1'] });
const ca = authority.certificate;

/** Few enough to wait in the buffers of TLS, with the end behind them. */
const BYTES = 10_000;

type Connect = (dialer: Dialer, stage: Stage, port: number) => Duplex;

const WAYS: Readonly<Record<string, Connect>> = {
  httpsAgent: (dialer, stage, port) => {
    const agent = stage.using(httpsAgent(dialer));
    return agent.createConnection({ host: '127.0.0.1', port, ca })!;
  },
  httpsConnection: (dialer, _stage, port) => httpsConnection(dialer, { ca })({ host: '127.0.0.1', port }),
};

describe('http: the end of TLS', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.end());

  /** An endpoint that says all it has as soon as somebody comes, and leaves. */
  async function talker(leave: (socket: TLSSocket) => void): Promise<number> {
    const server = tls.createServer({ cert: own.certificate, key: own.privateKey }, (socket) => {
      socket.on('error', () => undefined);
      socket.write(Buffer.alloc(BYTES, 'a'), () => leave(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onEnd(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  /** Waits until all that follows from the end has happened below a socket that nobody reads. */
  async function settled(tunnel: Duplex): Promise<void> {
    const echo = await stage.recorder.dial('127.0.0.1', (await stage.endpoint()).port);
    if (!tunnel.readableEnded) await once(tunnel, 'end');
    for (let trips = 0; trips < 20; trips += 1) await roundTrip(echo);
    echo.destroy();
  }

  for (const [name, connect] of Object.entries(WAYS)) {
    for (const [how, leave] of [
      ['says goodbye', (socket: TLSSocket) => void socket.end()],
      ['just leaves', (socket: TLSSocket) => void socket.destroy()],
    ] as const) {
      it(`${name}: what came before it is read, however late, of an endpoint that ${how}`, async () => {
        const port = await talker(leave);
        const socket = connect(stage.recorder, stage, port);
        await once(socket, 'secureConnect');
        await settled(stage.recorder.last);
        expect((await buffer(socket)).length).to.equal(BYTES);
        if (!socket.closed) await once(socket, 'close');
      });
    }
  }
});
