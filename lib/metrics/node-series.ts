import { keyInstallLag } from './key-install-lag.js';
import type { MonitoredNode } from './monitored-dialer.js';
import type { Series } from './series.js';

/** What each node looks like. A node that is removed takes its series with it. */
export const nodeSeries: readonly Series[] = [
  perNode('gauge', 'node_up', 'Whether the node is ready or degraded', ({ state }) =>
    Number(state === 'ready' || state === 'degraded'),
  ),
  {
    type: 'gauge',
    name: 'node_state',
    help: '1 for the state that the node is in; it has no series for others',
    labels: ['node', 'state'],
    read: ({ nodes }) => nodes.map(({ name, state }) => [1, { node: name, state }]),
  },
  perNode(
    'gauge',
    'node_connections',
    'Connections to the node that are ready',
    (node) => node.connections.ready,
  ),
  perNode(
    'gauge',
    'node_open_channels',
    'Streams that are open through the node',
    (node) => node.channels.open,
  ),
  perNode(
    'gauge',
    'node_waiting_dials',
    'Dials that wait for a stream through the node to end',
    (node) => node.channels.waiting,
  ),
  perNode(
    'gauge',
    'node_round_trip_seconds',
    'How long sshd took to answer the last keepalive',
    ({ roundTripMs }) => (roundTripMs === undefined ? undefined : roundTripMs / 1000),
  ),
  {
    type: 'counter',
    name: 'node_dials_total',
    help: 'Dials by the node that carried them, or that they failed at, and by result',
    labels: ['node', 'result'],
    read: ({ nodes }) =>
      nodes.flatMap(({ name, dials }) => [
        [dials.opened, { node: name, result: 'ok' }],
        [dials.failed, { node: name, result: 'error' }],
      ]),
  },
  {
    type: 'counter',
    name: 'node_connects_total',
    help: 'Attempts to connect to the node by result',
    labels: ['node', 'result'],
    read: ({ nodes }) =>
      nodes.flatMap(({ name, counts }) => [
        [counts.connected, { node: name, result: 'ok' }],
        [counts.failed, { node: name, result: 'error' }],
      ]),
  },
  perNode(
    'counter',
    'node_connections_lost_total',
    'Connections to the node that were lost',
    (node) => node.counts.lost,
  ),
  perNode(
    'counter',
    'node_received_bytes_total',
    'Bytes received from the node, SSH included',
    (node) => node.bytes.received,
  ),
  perNode(
    'counter',
    'node_sent_bytes_total',
    'Bytes sent to the node, SSH included',
    (node) => node.bytes.sent,
  ),
  perNode('gauge', 'node_probe_ok', 'Whether the last probe of the node was well', ({ probe }) =>
    probe === undefined ? undefined : Number(probe.ok),
  ),
  perNode('gauge', 'node_probe_duration_seconds', 'How long the last probe of the node took', ({ probe }) =>
    probe === undefined ? undefined : probe.durationMs / 1000,
  ),
  perNode(
    'gauge',
    'node_key_install_lag_seconds',
    'Time since the key in use was last installed on the node, or became the one to install',
    keyInstallLag,
  ),
];

/** @param valueOf - `undefined`: the node has no such series for now */
function perNode(
  type: Series['type'],
  name: string,
  help: string,
  valueOf: (node: MonitoredNode) => number | undefined,
): Series {
  return {
    type,
    name,
    help,
    labels: ['node'],
    read: ({ nodes }) =>
      nodes.flatMap((node) => {
        const value = valueOf(node);
        return value === undefined ? [] : [[value, { node: node.name }] as const];
      }),
  };
}
