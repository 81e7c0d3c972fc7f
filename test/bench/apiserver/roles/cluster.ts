/* The process of what is behind the tunnel, and of the upstream: a pod, a kubelet, and a kube-apiserver. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type * as Testing from '../../../../lib/testing/index.js';
import { offer } from '../calls.js';
import { libraryModule } from '../library.js';
import { answer } from '../answer.js';
import { ADDRESS, CONTAINER, NODE, POD, type ClusterCalls } from '../messages.js';

async function startPod(): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0, noDelay: true }, (_, response) => {
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

offer<ClusterCalls>({
  async start(library) {
    const { startApiServer, startKubelet } = await libraryModule<typeof Testing>(library, 'testing/index');
    const kubelet = await startKubelet({
      nodeName: NODE,
      altNames: [ADDRESS],
      pods: [{ name: POD, containers: [{ name: CONTAINER }] }],
    });
    const upstream = await startApiServer({
      objects: [
        {
          kind: 'Node',
          metadata: { name: NODE },
          status: {
            addresses: [{ type: 'InternalIP', address: ADDRESS }],
            daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
          },
        },
        {
          kind: 'Pod',
          metadata: { name: POD, namespace: 'default' },
          spec: { nodeName: NODE, hostNetwork: true, containers: [{ name: CONTAINER }] },
          status: { podIP: ADDRESS, podIPs: [{ ip: ADDRESS }] },
        },
      ],
    });
    const serving = upstream.servingCertificate('127.0.0.1');
    const client = kubelet.clientCertificate();
    return {
      upstream: {
        server: upstream.url,
        ca: upstream.certificateAuthority,
        token: upstream.tokenOf('admin'),
      },
      serving: { key: serving.privateKey, cert: serving.certificate },
      kubelet: {
        port: kubelet.port,
        ca: kubelet.certificateAuthority,
        key: client.privateKey,
        cert: client.certificate,
      },
      podPort: await startPod(),
    };
  },
});
