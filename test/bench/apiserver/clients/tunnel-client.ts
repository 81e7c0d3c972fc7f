import { once } from 'node:events';
import { request } from 'node:http';
import type * as Http from '../../../../lib/http/index.js';
import type * as Kubelet from '../../../../lib/kubelet/index.js';
import { connectedDialer, libraryModule } from '../library.js';
import { ADDRESS, CONTAINER, NODE, POD, type Course } from '../messages.js';
import { read, type Client } from './client.js';

/** The tunnel alone: `httpAgent` and `KubeletClient` over a dialer of the client's own. */
export async function tunnelClient(course: Course): Promise<Client> {
  const { library, cluster } = course;
  const { port, ca, cert, key } = cluster.kubelet;
  const dialer = await connectedDialer(course);
  const { httpAgent } = await libraryModule<typeof Http>(library, 'http/index');
  const { KubeletClient } = await libraryModule<typeof Kubelet>(library, 'kubelet/index');
  const agent = httpAgent(dialer, { node: NODE });
  const kubelet = new KubeletClient(dialer, {
    node: { name: NODE, address: ADDRESS, port },
    certificateAuthority: ca,
    clientCertificate: cert,
    clientKey: key,
  });
  return {
    get: () => read(request({ agent, host: ADDRESS, port: cluster.podPort })),
    async exec() {
      const process = await kubelet.exec({
        namespace: 'default',
        pod: POD,
        container: CONTAINER,
        command: ['cat'],
        stdin: true,
        stderr: false,
      });
      return {
        async echo() {
          const echoed = once(process.stdout, 'data');
          process.stdin.write('?');
          await echoed;
        },
        close: () => process.destroy(),
      };
    },
  };
}
