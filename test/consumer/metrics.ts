import { subscribe } from 'node:diagnostics_channel';
import { Registry } from 'prom-client';
import { TunnelDialer, type DiagnosticsMessages } from 'tunnel-dialer';
import { dialerMetrics, type DialerMetrics } from 'tunnel-dialer/metrics';
import { startSshNode } from 'tunnel-dialer/testing';

const told: string[] = [];
subscribe('tunnel-dialer:connection:ready', (message) => {
  told.push((message as DiagnosticsMessages['tunnel-dialer:connection:ready']).node);
});
const node = await startSshNode();
const dialer = new TunnelDialer({ nodes: [node.spec], ssh: node.ssh });
const registry = new Registry();
const metrics: DialerMetrics = dialerMetrics(dialer, { registry, perNode: true });
await dialer.ready();
const text = await registry.metrics();
metrics.close();
await dialer.close();
await node.close();
if (!text.includes('tunnel_dialer_nodes{state="ready"} 1') || told[0] !== node.name)
  throw new Error(`not as expected: ${text}`);
