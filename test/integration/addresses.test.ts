import { expect } from 'chai';
import { describeFor, ipv6, type Feature } from '../support/applicability.js';
import { rejection } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { NODE, nodeOf, Stage } from './stage.js';

/** Linux has all of 127.0.0.0/8 on its loopback. */
const manyLoopbacks: Feature = { name: 'Linux', present: process.platform === 'linux' };

describe('addresses behind a real sshd', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  describeFor(['configure', ipv6], 'of IPv6', () => {
    it('are dialled with and without brackets, through an sshd that is reached by IPv6, too', async () => {
      const sshd = await stage.sshd({ listenAddress: '::1' });
      const echo = await stage.use(startEcho({ listenHost: '::1', endpointHost: '::1' }));
      for (const address of ['::1', '[::1]', '0:0:0:0:0:0:0:1']) {
        const dialer = stage.dialer(sshd, { nodes: [nodeOf(sshd, { address })] });
        for (const host of ['::1', '[::1]', '0:0::1']) {
          const socket = await stage.dialEcho(dialer, { host, port: echo.port });
          expect(socket).to.include({ node: NODE, remoteFamily: 'IPv6', remotePort: echo.port });
        }
      }
    });

    it('that map IPv4 are dialled as such', async () => {
      const sshd = await stage.sshd();
      const echo = await stage.use(startEcho());
      const dialer = stage.dialer(sshd);
      for (const host of ['::ffff:127.0.0.1', '[::ffff:127.0.0.1]', '::ffff:7f00:1'])
        await stage.dialEcho(dialer, { host, port: echo.port });
    });
  });

  describeFor('same-host', 'that are names', () => {
    it('are resolved on the node, which tries all that a name has', async () => {
      const sshd = await stage.sshd();
      const echo = await stage.use(startEcho()); // on 127.0.0.1 only
      const socket = await stage.dialEcho(stage.dialer(sshd), { host: 'localhost', port: echo.port });
      expect(socket).to.include({ remoteAddress: 'localhost', remoteFamily: undefined });
    });
  });

  it("that are the node's own name lead to the node", async () => {
    const sshd = await stage.sshd();
    const echo = await stage.use(startEcho(sshd));
    const dialer = stage.dialer(sshd, { nodes: [nodeOf(sshd, { selfAddress: sshd.endpointHost })] });
    await stage.dialEcho(dialer, { host: NODE, port: echo.port });
  });

  describeFor(
    ['configure', manyLoopbacks],
    'of a node that cannot reach itself by the address we know',
    () => {
      it('arrive at selfAddress, and others do not', async () => {
        const address = '127.0.0.2';
        const sshd = await stage.sshd({ listenAddress: address });
        const atHome = await stage.use(startEcho());
        const dialer = stage.dialer(sshd, { nodes: [nodeOf(sshd, { selfAddress: '127.0.0.1' })] });
        const socket = await stage.dialEcho(dialer, { host: address, port: atHome.port });
        expect(socket.node).to.equal(NODE);

        const plain = stage.dialer(sshd);
        const dials = [plain.dial(address, atHome.port), dialer.dial('127.0.0.3', atHome.port)];
        for (const error of await Promise.all(dials.map(rejection)))
          expect(error).to.include({ code: 'ECONNREFUSED' });
      });
    },
  );
});
