import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket, WebSocketServer, type ClientOptions } from 'ws';
import { EndpointError } from '../../../lib/index.js';
import { httpAgent, httpConnection, httpsAgent, httpsConnection } from '../../../lib/http/index.js';
import { rejection } from '../../support/dialer.js';
import { closedPort, Stage } from '../stage.js';
import { anyName, ca, serveHttps } from './endpoint.js';

type Scheme = 'ws' | 'wss';
type Way = (stage: Stage, scheme: Scheme) => ClientOptions;

const ways: Record<string, Way> = {
  agent: (stage, scheme) => ({
    agent: stage.using(scheme === 'ws' ? httpAgent(stage.recorder) : httpsAgent(stage.recorder, { ca })),
  }),
  createConnection: (stage, scheme) => ({
    createConnection:
      scheme === 'ws' ? httpConnection(stage.recorder) : httpsConnection(stage.recorder, { ca }),
  }),
};

for (const [way, optionsOf] of Object.entries(ways)) {
  for (const scheme of ['ws', 'wss'] as const) {
    describe(`http: ws with ${way}, ${scheme}`, () => {
      let stage: Stage;
      let port: number;
      beforeEach(async () => {
        stage = await Stage.start(anyName);
        const served = await (scheme === 'ws'
          ? stage.http(() => undefined)
          : serveHttps(stage, () => undefined));
        ({ port } = served);
        new WebSocketServer({ server: served.server }).on('connection', (socket) => {
          socket.on('error', () => undefined);
          socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
        });
      });
      afterEach(() => stage.end());

      const connect = (host = '127.0.0.1', at = port): WebSocket => {
        const socket = new WebSocket(`${scheme}://${host}:${at}/`, optionsOf(stage, scheme));
        stage.onEnd(() => socket.terminate());
        return socket;
      };
      const errorOf = (socket: WebSocket): Promise<Error> => rejection(once(socket, 'open'));

      it('carries messages both ways, and leaves no channel', async () => {
        const socket = connect();
        await once(socket, 'open');
        for (const sent of [randomBytes(1_000_000), Buffer.from('small')]) {
          socket.send(sent);
          const [got] = (await once(socket, 'message')) as [Buffer];
          expect(got.equals(sent)).to.equal(true);
        }
        socket.close(1000);
        const [code] = (await once(socket, 'close')) as [number];
        expect(code).to.equal(1000);
        await stage.ssh.until(({ channels }) => channels === 0);
      });

      it('is closed as abnormal when the tunnel is lost, as RFC 6455 §7.1.5 has it', async () => {
        const socket = connect();
        await once(socket, 'open');
        const closed = once(socket, 'close') as Promise<[number]>;
        stage.ssh.cut('rst');
        expect((await closed)[0]).to.equal(1006);
      });

      it('fails with the error of the dial', async () => {
        const error = await errorOf(connect('127.0.0.1', await closedPort()));
        expect(error).to.be.instanceOf(EndpointError).and.include({ code: 'ECONNREFUSED' });
      });

      it('gives the dial up when it is terminated', async () => {
        stage.ssh.faults.neverAnswer();
        const socket = connect();
        const failed = errorOf(socket);
        await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
        socket.terminate();
        expect((await failed).message).to.match(/closed before/);
        expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
      });

      if (scheme === 'ws') return;

      it('verifies the endpoint against the host of the URL', async () => {
        await once(connect('node-1.example'), 'open');
        expect(await errorOf(connect('node-2.example'))).to.include({
          code: 'ERR_TLS_CERT_ALTNAME_INVALID',
        });
      });
    });
  }
}
