import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { expect } from 'chai';
import { tunnelPortForward } from '../../../lib/apiserver/translate/tunnel-port-forward.js';
import { Stage } from './stage.js';

const TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const PATH = '/portForward/default/web';

describe('apiserver: SPDY/3.1 of a port-forward in a WebSocket (AC-33)', () => {
  for (const [what, path, protocols, status] of [
    ['passes the refusal of the kubelet on', '/portForward/default/other', [TUNNEL], 404],
    ['passes on that the kubelet knows no such protocol', PATH, ['SPDY/3.1+nonsense.k8s.io'], 403],
    ['refuses a client that offers no tunnel', PATH, ['v4.channel.k8s.io'], 400],
  ] as const) {
    it(what, async () => {
      await using stage = await Stage.start(tunnelPortForward);
      const client = stage.connect(path, [...protocols]);
      const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage];
      expect(response.statusCode).to.equal(status);
      response.resume();
    });
  }
});
