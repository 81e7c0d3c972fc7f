import { expect } from 'chai';
import http2 from 'node:http2';
import https from 'node:https';
import { Agent, request as undiciRequest } from 'undici';
import { createAuthority } from '../../../lib/testing/certificates.js';
import type { Dialer } from '../../../lib/index.js';
import {
  http2Connection,
  httpsAgent,
  httpsConnection,
  undiciConnector,
  type TunnelTlsConnectionOptions,
} from '../../../lib/http/index.js';
import { rejection } from '../../support/dialer.js';
import { Stage } from '../stage.js';

const authority = createAuthority('cluster-ca');
const { certificate: cert, privateKey: key } = authority.issue({
  commonName: 'endpoint',
  altNames: ['node-1.example'],
});
const ca = authority.certificate;

interface TlsError extends NodeJS.ErrnoException {
  readonly node?: string;
  readonly cert?: object;
}

type Options = TunnelTlsConnectionOptions;

const requested = (options: https.RequestOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    https
      .get(options, (response) => {
        response.on('error', reject).on('end', resolve).resume();
      })
      .on('error', reject);
  });

/** A request by each of the means that make TLS connections. */
const means: Record<
  string,
  (dialer: Dialer, host: string, port: number, options: Options) => Promise<unknown>
> = {
  httpsAgent: async (dialer, host, port, options) => {
    const agent = httpsAgent(dialer, options);
    await requested({ agent, host, port }).finally(() => agent.destroy());
  },
  httpsConnection: (dialer, host, port, options) =>
    requested({ createConnection: httpsConnection(dialer, options), host, port }),
  http2Connection: (dialer, host, port, options) =>
    new Promise((_resolve, reject) => {
      const createConnection = http2Connection(dialer, options);
      http2.connect(`https://${host}:${port}`, { createConnection }).on('error', reject);
    }),
  undiciConnector: async (dialer, host, port, options) => {
    const dispatcher = new Agent({ connect: undiciConnector(dialer, options) });
    const asked = undiciRequest(`https://${host}:${port}/`, { dispatcher });
    await asked.then(({ body }) => body.text()).finally(() => dispatcher.destroy());
  },
};

for (const [name, ask] of Object.entries(means)) {
  describe(`http: an error of TLS with ${name}`, () => {
    let stage: Stage;
    beforeEach(async () => {
      // The endpoint answers to any name and on port 22.
      const redirect = (_host: string, port: number) => ({
        host: '127.0.0.1',
        port: port === 22 ? stage.ssh.spec.port : port,
      });
      stage = await Stage.start({ redirect });
    });
    afterEach(() => stage.end());

    const failing = (host: string, port: number, options: Options = { ca }): Promise<TlsError> =>
      rejection<TlsError>(ask(stage.recorder, host, port, options));
    const serve = async (): Promise<number> => {
      const ALPNProtocols = ['h2', 'http/1.1'];
      const { port } = await stage.https({ cert, key, ALPNProtocols }, (_request, response) =>
        response.end(),
      );
      return port;
    };

    it("is Node's own, and says where it comes from", async () => {
      const port = await serve();
      const error = await failing('node-2.example', port);
      expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID', node: 'node-1' });
      expect(error.cert).to.be.an('object');
      const where = `(node-1, node-2.example:${port})`;
      expect(error.message.startsWith('Hostname/IP does not match')).to.equal(true);
      expect(error.message.endsWith(where)).to.equal(true);
      expect(error.stack).to.include(where);
    });

    it('says so of a certificate of an unknown authority', async () => {
      const port = await serve();
      const error = await failing('node-1.example', port, {});
      expect(error).to.include({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', node: 'node-1' });
      expect(error.message).to.match(/ \(node-1, node-1\.example:\d+\)$/);
    });

    it('says so of an endpoint that ends the handshake', async () => {
      const { port } = await stage.endpoint((socket) => void socket.resume().end());
      const error = await failing('node-1.example', port);
      expect(error).to.include({ code: 'ECONNRESET', node: 'node-1' });
      expect(error.message).to.match(/ \(node-1, node-1\.example:\d+\)$/);
    });

    it('says what to look at when the endpoint does not speak TLS', async () => {
      const { port } = await stage.http((_request, response) => response.end());
      const error = await failing('node-1.example', port);
      expect(error.code).to.match(/^(EPROTO|ERR_SSL_)/);
      expect(error.message).to.match(
        /\(node-1, node-1\.example:\d+\): what listens there does not speak TLS; is it the right port\?$/,
      );
    });

    it('knows the port of sshd', async () => {
      const error = await failing('node-1.example', 22);
      expect(error.message).to.include('node-1.example:22): what listens there does not speak TLS, and 22');
    });

    it("leaves alone what a caller's own check gives", async () => {
      const own = Object.freeze(Object.assign(new Error('not this one'), { code: 'OURS' }));
      const options = { ca, checkServerIdentity: () => own };
      expect(await failing('node-1.example', await serve(), options)).to.equal(own);
    });

    it('does not say so of errors of the dial', async () => {
      stage.ssh.faults.refuse({ reason: 2, description: 'Connection refused' });
      const error = await failing('node-1.example', 1);
      expect(error).to.include({ code: 'ECONNREFUSED' });
      expect(error.message).not.to.include('(node-1, ');
    });
  });
}
