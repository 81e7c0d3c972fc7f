import { httpsAgent } from 'tunnel-dialer/http';
import { listen, type LocalListener, type TcpAddress } from 'tunnel-dialer/listen';
import { KubeletClient, type LogOptions } from 'tunnel-dialer/kubelet';
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
const log: LogOptions = { namespace: 'shop', pod: 'cart', container: 'cart', follow: { resume: true } };
const kubelet = new KubeletClient(dialer, { node: node.name, insecureSkipTLSVerify: true });
const unread: unknown = await kubelet.logs(log).catch((error: unknown) => error);
await kubelet.close();
const status: NodeStatus | undefined = dialer.status().nodes[0];
agent.destroy();
await dialer.close();
await node.close();
if (status?.state !== 'ready' || refused instanceof EndpointError || !(unread instanceof Error))
  throw new Error(`not as expected: ${String(refused)}`);
