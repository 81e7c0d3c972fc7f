/* The process between a client and the cluster, as a user has it: the proxy, or what it is compared with. */
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type * as Apiserver from '../../../../lib/apiserver/index.js';
import type * as Http from '../../../../lib/http/index.js';
import { resizeApplicationHeap } from '../../application-heap.js';
import { answer } from '../answer.js';
import { offer } from '../calls.js';
import { connectedDialer, cpuMs, libraryModule } from '../library.js';
import { ADDRESS, NODE, type Between, type BetweenCalls, type Course } from '../messages.js';

resizeApplicationHeap();

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const STARTS: Readonly<Record<Between, (course: Course) => Promise<number>>> = {
  async proxy(course) {
    const { apiserverProxy, SERVER_OPTIONS } = await libraryModule<typeof Apiserver>(
      course.library,
      'apiserver/index',
    );
    const { upstream, kubelet, serving } = course.cluster;
    const proxy = apiserverProxy(await connectedDialer(course), {
      upstream: { server: upstream.server, certificateAuthority: upstream.ca, token: upstream.token },
      kubelet: {
        certificateAuthority: kubelet.ca,
        clientCertificate: kubelet.cert,
        clientKey: kubelet.key,
      },
    });
    const server = createServer({ ...serving, ...SERVER_OPTIONS }, proxy.request);
    return listening(server.on('upgrade', proxy.upgrade));
  },

  async 'bare proxy'(course) {
    const { httpAgent } = await libraryModule<typeof Http>(course.library, 'http/index');
    const agent = httpAgent(await connectedDialer(course), { node: NODE });
    const { serving, podPort: port } = course.cluster;
    return listening(
      createServer({ ...serving, keepAliveTimeout: 0 }, ({ method, headers }, response) => {
        const asked = request({ agent, host: ADDRESS, port, method, headers });
        asked.on('response', (answered) => {
          response.writeHead(answered.statusCode ?? 0, answered.rawHeaders);
          answered.pipe(response);
        });
        asked.end();
      }),
    );
  },

  async tunnel(course) {
    const dialer = await connectedDialer(course);
    const { serving, podPort } = course.cluster;
    const carry = async (client: TLSSocket): Promise<void> => {
      const pod = await dialer.dial(ADDRESS, podPort, { node: NODE });
      client.pipe(pod).pipe(client);
    };
    return listening(createTlsServer(serving, (client) => void carry(client)));
  },

  answer: ({ cluster }) =>
    listening(
      createServer({ ...cluster.serving, keepAliveTimeout: 0 }, (_, response) => {
        answer(response);
      }),
    ),
};

offer<BetweenCalls>({
  start: (course) => STARTS[course.between](course),
  cpuMs: () => Promise.resolve(cpuMs()),
});
