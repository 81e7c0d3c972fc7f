import { keyInstallLag } from './key-install-lag.js';
import type { MonitoredNode, MonitoredStatus } from './monitored-dialer.js';
import type { Sample, Series } from './series.js';

const NODE_STATES = ['idle', 'connecting', 'ready', 'degraded', 'down'];
const CONNECTION_STATES = ['connecting', 'ready', 'draining'] as const;
const SOURCE_STATES = ['waiting', 'current', 'stale', 'ended'];

/** What the dialer as a whole looks like. */
export const fleetSeries: readonly Series[] = [
  {
    type: 'gauge',
    name: 'nodes',
    help: 'Nodes by state',
    labels: ['state'],
    read: ({ nodes }) => NODE_STATES.map((state) => [count(nodes, state), { state }]),
  },
  {
    type: 'gauge',
    name: 'connections',
    help: 'Connections to nodes by state',
    labels: ['state'],
    read: ({ nodes }) =>
      CONNECTION_STATES.map((state) => [sum(nodes, ({ connections }) => connections[state]), { state }]),
  },
  {
    type: 'gauge',
    name: 'open_channels',
    help: 'Streams that are open',
    labels: [],
    read: ({ nodes }) => [[sum(nodes, ({ channels }) => channels.open), {}]],
  },
  {
    type: 'gauge',
    name: 'waiting_dials',
    help: 'Dials that wait for a stream to end, because every connection is full',
    labels: [],
    read: ({ nodes }) => [[sum(nodes, ({ channels }) => channels.waiting), {}]],
  },
  {
    type: 'gauge',
    name: 'probed_nodes',
    help: 'Nodes by the result of their last probe',
    labels: ['result'],
    read: ({ nodes }) => {
      const probes = nodes.flatMap(({ probe }) => probe ?? []);
      const well = probes.filter(({ ok }) => ok).length;
      if (probes.length === 0) return [];
      return [
        [well, { result: 'ok' }],
        [probes.length - well, { result: 'error' }],
      ];
    },
  },
  {
    type: 'gauge',
    name: 'key_install_lag_seconds',
    help: 'Longest time, of all nodes, since the key in use was last installed, or became the one to install',
    labels: [],
    read: ({ nodes }) => [[nodes.reduce((most, node) => Math.max(most, keyInstallLag(node) ?? 0), 0), {}]],
  },
  {
    type: 'counter',
    name: 'received_bytes_total',
    help: 'Bytes received from nodes, SSH included',
    labels: [],
    read: ({ bytes }) => [[bytes.received, {}]],
  },
  {
    type: 'counter',
    name: 'sent_bytes_total',
    help: 'Bytes sent to nodes, SSH included',
    labels: [],
    read: ({ bytes }) => [[bytes.sent, {}]],
  },
  {
    type: 'gauge',
    name: 'source_state',
    help: '1 for the state that the source of the nodes is in',
    labels: ['source', 'state'],
    read: ({ source }) =>
      source === undefined
        ? []
        : SOURCE_STATES.map((state) => [Number(source.state === state), { source: source.name, state }]),
  },
  {
    type: 'gauge',
    name: 'source_age_seconds',
    help: 'Time since the source told the nodes that are in use; one that tells changes only may well be old',
    labels: ['source'],
    read: ({ source }) => age(source, source?.updatedAt),
  },
  {
    type: 'gauge',
    name: 'source_failing_seconds',
    help: 'How long the source has been failing; 0 when it is not',
    labels: ['source'],
    read: ({ source }) =>
      source !== undefined && source.failure === undefined
        ? [[0, { source: source.name }]]
        : age(source, source?.failure?.since),
  },
  {
    type: 'gauge',
    name: 'source_left_out_nodes',
    help: 'Nodes that the source cannot tell as they are: it leaves them out, or keeps them as they were',
    labels: ['source'],
    read: ({ source }) =>
      source === undefined ? [] : [[source.leftOut?.count ?? 0, { source: source.name }]],
  },
];

function age(source: MonitoredStatus['source'], since: Date | undefined): Sample[] {
  if (source === undefined || since === undefined) return [];
  return [[Math.max(0, Date.now() - since.getTime()) / 1000, { source: source.name }]];
}

const count = (nodes: readonly MonitoredNode[], state: string): number =>
  nodes.filter((node) => node.state === state).length;

const sum = (nodes: readonly MonitoredNode[], valueOf: (node: MonitoredNode) => number): number =>
  nodes.reduce((total, node) => total + valueOf(node), 0);
