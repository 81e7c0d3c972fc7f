import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { WebSocket } from 'ws';
import { CONTAINER, POD, type Cluster } from '../messages.js';
import { read, type Client } from './client.js';

const STDIN = 0;
const STDOUT = 1;

/** Through the proxy, as kubectl goes: TLS, a bearer token, and WebSocket for exec. */
export function proxyClient(port: number, { upstream, podPort }: Cluster): Client {
  const { ca, token } = upstream;
  const headers = { authorization: `Bearer ${token}` };
  const agent = new Agent({ keepAlive: true, ca });
  const pods = '/api/v1/namespaces/default/pods';
  const path = `${pods}/${POD}:${podPort}/proxy/`;
  const query = `container=${CONTAINER}&command=cat&stdin=true&stdout=true`;
  const exec = `wss://127.0.0.1:${port}${pods}/${POD}/exec?${query}`;
  return {
    get: () => read(request({ agent, host: '127.0.0.1', port, path, headers })),
    async exec() {
      const ws = new WebSocket(exec, 'v5.channel.k8s.io', { ca, headers, perMessageDeflate: false });
      let onOutput = (): void => undefined;
      ws.on('message', (message: Buffer) => {
        // The first one is empty, and tells only that the channel is there.
        if (message[0] === STDOUT && message.length > 1) onOutput();
      });
      await once(ws, 'open');
      return {
        echo: () =>
          new Promise((resolve) => {
            onOutput = resolve;
            ws.send(Buffer.from([STDIN, 0x3f]));
          }),
        close: () => ws.terminate(),
      };
    },
  };
}
