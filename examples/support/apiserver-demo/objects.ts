import type { ApiObject, ApiRule, ApiUser } from 'tunnel-dialer/testing';

export const CART = 'cart-7d4b9c';
export const WEB = 'web-5f6c8d';

/** What the web server says. */
export const GREETING = '3 × crème brûlée, paid';

/** Sells something every second. */
export const SELL =
  'n=1016; while :; do n=$((n + 1)); echo "order $n: $((n % 5 + 1)) × crème brûlée, paid"; sleep 1; done';

/** These addresses lead nowhere on this machine. */
export const NODES = [
  { name: 'node-1', address: '10.0.0.11' },
  { name: 'node-2', address: '10.0.0.12' },
] as const;
export const WEB_ADDRESS = '10.244.2.7';

export const YOU: ApiUser = { name: 'you', groups: ['system:masters'] };
export const PROXY: ApiUser = { name: 'system:serviceaccount:tunnel-proxy:apiserver-proxy' };

/** What the proxy itself may do, as in deploy/apiserver-proxy.yaml. */
export const RULES: readonly ApiRule[] = [
  { subjects: [PROXY.name], verbs: ['get', 'list', 'watch'], resources: ['nodes'] },
  { subjects: [PROXY.name], verbs: ['get'], resources: ['pods', 'services', 'endpoints'] },
  { subjects: [PROXY.name], verbs: ['list'], resources: ['endpointslices'] },
];

function node({ name, address }: (typeof NODES)[number]): ApiObject {
  return {
    kind: 'Node',
    metadata: { name },
    status: {
      addresses: [{ type: 'InternalIP', address }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

function pod(name: string, nodeName: string, podIP: string, ports: readonly number[]): ApiObject {
  const [app = ''] = name.split('-');
  return {
    kind: 'Pod',
    metadata: { name, labels: { app } },
    spec: { nodeName, containers: [{ name: app, ports: ports.map((containerPort) => ({ containerPort })) }] },
    status: {
      phase: 'Running',
      podIP,
      podIPs: [{ ip: podIP }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

/** @param webPort - of the web server, which is a port of this machine, as for a pod in the network of its node */
export function objectsOf(webPort: number): readonly ApiObject[] {
  return [
    ...NODES.map(node),
    pod(CART, 'node-1', '10.244.1.4', []),
    pod(WEB, 'node-2', WEB_ADDRESS, [webPort]),
    {
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, clusterIP: '10.96.0.80', ports: [{ port: 80, targetPort: webPort }] },
    },
    {
      kind: 'EndpointSlice',
      metadata: { name: 'web-x7k2p', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ port: webPort }],
      endpoints: [
        {
          addresses: [WEB_ADDRESS],
          conditions: { ready: true },
          nodeName: 'node-2',
          targetRef: { kind: 'Pod', name: WEB, namespace: 'default' },
        },
      ],
    },
  ];
}
