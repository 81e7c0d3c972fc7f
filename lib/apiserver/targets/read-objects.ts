import type { NodeObject, PodContainer, PodObject, ServiceEndpoint, ServiceObject } from '../resolver.js';
import { unavailable } from './refusals.js';

/*
 * What is read of the upstream's answers, and kept: a few fields, of the types that they have to be of.
 */

type Fields = Readonly<Record<string, unknown>>;

/** As many as an Endpoints object holds (`endpoints.kubernetes.io/over-capacity`). */
const MAX_ENDPOINTS = 1000;

export function readNode(answer: unknown): NodeObject {
  const { metadata, status } = ofKind(answer, 'Node');
  const { addresses, daemonEndpoints } = fields(status);
  const port = portIn(fields(fields(daemonEndpoints).kubeletEndpoint).Port);
  return {
    metadata: pick(metadata, 'name'),
    status: {
      addresses: list(addresses).flatMap(({ type, address }) =>
        typeof type === 'string' && typeof address === 'string' ? [{ type, address }] : [],
      ),
      ...(port !== undefined && { daemonEndpoints: { kubeletEndpoint: { Port: port } } }),
    },
  };
}

export function readPod(answer: unknown): PodObject {
  const { metadata, spec, status } = ofKind(answer, 'Pod');
  const { nodeName, containers, initContainers, ephemeralContainers } = fields(spec);
  const { podIP, podIPs } = fields(status);
  return {
    metadata: pick(metadata, 'name', 'namespace', 'uid'),
    spec: {
      nodeName: text(nodeName),
      containers: containersIn(containers),
      initContainers: containersIn(initContainers),
      ephemeralContainers: containersIn(ephemeralContainers),
    },
    status: {
      podIP: text(podIP),
      podIPs: Array.isArray(podIPs) ? list(podIPs).map((each) => pick(each, 'ip')) : undefined,
    },
  };
}

export function readService(answer: unknown): ServiceObject {
  const { ports } = fields(ofKind(answer, 'Service').spec);
  return { spec: { ports: portsIn(ports) } };
}

/** The family of addresses that comes first to a service (core/v1, `spec.ipFamilies`), if it says. */
export function primaryFamilyOf(answer: unknown): string | undefined {
  const { ipFamilies } = fields(ofKind(answer, 'Service').spec);
  return Array.isArray(ipFamilies) ? text(ipFamilies[0]) : undefined;
}

/**
 * The ready endpoints in the EndpointSlices of a service (discovery.k8s.io/v1), those of its primary family if there are any.
 */
export function readSlices(answer: unknown, primaryFamily: string | undefined): readonly ServiceEndpoint[] {
  const slices = list(ofKind(answer, 'EndpointSliceList').items);
  const ready = slices.flatMap((slice) =>
    endpointsIn(slice).map((endpoint) => ({ endpoint, family: slice.addressType })),
  );
  const primary = ready.filter(({ family }) => family === primaryFamily);
  const wanted = primary.length > 0 ? primary : ready;
  return wanted.slice(0, MAX_ENDPOINTS).map(({ endpoint }) => endpoint);
}

/** The ready endpoints in the Endpoints of a service (core/v1). */
export function readEndpoints(answer: unknown): readonly ServiceEndpoint[] {
  const all = list(ofKind(answer, 'Endpoints').subsets).flatMap(({ addresses, ports }) => {
    const shared = namedPorts(ports);
    return list(addresses).flatMap(({ ip, nodeName, targetRef }) =>
      typeof ip === 'string' ? [endpoint(ip, nodeName, targetRef, shared)] : [],
    );
  });
  return all.slice(0, MAX_ENDPOINTS);
}

function endpointsIn({ addressType, endpoints, ports }: Fields): ServiceEndpoint[] {
  if (addressType === 'FQDN') return [];
  const shared = namedPorts(ports);
  return list(endpoints).flatMap(({ addresses, conditions, nodeName, targetRef }) => {
    // What the others are is not defined. `ready` that is not told is to be taken for true.
    const address: unknown = Array.isArray(addresses) ? addresses[0] : undefined;
    const isReady = fields(conditions).ready !== false;
    return typeof address === 'string' && isReady ? [endpoint(address, nodeName, targetRef, shared)] : [];
  });
}

function endpoint(
  address: string,
  nodeName: unknown,
  targetRef: unknown,
  ports: ServiceEndpoint['ports'],
): ServiceEndpoint {
  const { kind, namespace, name } = fields(targetRef);
  const isPod = kind === 'Pod' && typeof namespace === 'string' && typeof name === 'string';
  return {
    address,
    isReady: true,
    nodeName: text(nodeName),
    pod: isPod ? { namespace, name } : undefined,
    ports,
  };
}

const namedPorts = (ports: unknown): ServiceEndpoint['ports'] =>
  portsIn(ports).map(({ name = '', port }) => ({ name, port }));

function portsIn(ports: unknown): { readonly name?: string; readonly port: number }[] {
  return list(ports).flatMap((each) => {
    const port = portIn(each.port);
    return port === undefined ? [] : [{ ...pick(each, 'name'), port }];
  });
}

function containersIn(containers: unknown): PodContainer[] {
  return list(containers).flatMap(({ name, ports }) => {
    if (typeof name !== 'string') return [];
    const known = list(ports).flatMap(({ containerPort }) => {
      const port = portIn(containerPort);
      return port === undefined ? [] : [{ containerPort: port }];
    });
    return [{ name, ports: known }];
  });
}

function ofKind(answer: unknown, kind: string): Fields {
  const read = fields(answer);
  if (read.kind === kind) return read;
  throw unavailable(`the answer of the API server is no ${kind}: check the URL of the upstream`);
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

const list = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fields) : []);

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const portIn = (value: unknown): number | undefined =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535 ? Number(value) : undefined;

/** The texts among some fields. */
function pick<Name extends string>(value: unknown, ...names: readonly Name[]): Partial<Record<Name, string>> {
  const read = fields(value);
  const texts: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const each = read[name];
    if (typeof each === 'string') texts[name] = each;
  }
  return texts;
}
