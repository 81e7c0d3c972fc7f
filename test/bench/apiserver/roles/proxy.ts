/* The process of the proxy: a server of node:https and the library, as a user has them. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type * as Apiserver from '../../../../lib/apiserver/index.js';
import { resizeApplicationHeap } from '../../application-heap.js';
import { offer } from '../calls.js';
import { connectedDialer, cpuMs, libraryModule } from '../library.js';
import type { ProxyCalls } from '../messages.js';

resizeApplicationHeap();

offer<ProxyCalls>({
  async start(course) {
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
    server.on('upgrade', proxy.upgrade).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
  cpuMs: () => Promise.resolve(cpuMs()),
});
