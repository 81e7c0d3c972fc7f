import { httpsAgent } from 'tunnel-dialer/http';
import { listen, type LocalListener, type TcpAddress } from 'tunnel-dialer/listen';
import { startSshNode } from 'tunnel-dialer/testing';
import { EndpointError, TunnelDialer, type NodeStatus, type TunnelSocket } from 'tunnel-dialer';

const node = await startSshNode({ permit: () => false });
const dialer = new TunnelDialer({ nodes: [node.spec], ssh: node.ssh });
const agent = httpsAgent(dialer);
const refused: unknown = await dialer.dial(node.name, 10250).then(
  (socket: TunnelSocket) => socket.remoteAddress,
  (error: unknown) => error,
);
const listener: LocalListener<TcpAddress> = await listen(dialer, { host: node.name, port: 10250 });
await listener.close();
const status: NodeStatus | undefined = dialer.status().nodes[0];
agent.destroy();
await dialer.close();
await node.close();
if (status?.state !== 'ready' || refused instanceof EndpointError)
  throw new Error(`not as expected: ${String(refused)}`);
