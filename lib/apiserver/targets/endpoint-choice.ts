import type { ServiceEndpoint } from '../resolver.js';
import { isProxyable } from './proxyable.js';

/** An endpoint of a service that may be proxied to, if its pod is what it says. */
export interface EndpointChoice {
  readonly address: string;
  readonly port: number;
  readonly nodeName: string | undefined;
  readonly pod: string;
}

/** Which endpoints will do. */
export interface EndpointWish {
  readonly namespace: string;
  /** The name of the service's port; `''` is the one without a name. */
  readonly portName: string;
  readonly max: number;
  /** From 0 up to 1, as `Math.random`. */
  readonly random: () => number;
}

/** Draws endpoints that are ready, have the port, and say that they are a pod of the service's namespace. */
export function drawEndpoints(
  endpoints: readonly ServiceEndpoint[],
  { namespace, portName, max, random }: EndpointWish,
): EndpointChoice[] {
  const good = endpoints.flatMap(({ address, isReady, nodeName, pod, ports }) => {
    const port = ports.find(({ name }) => name === portName)?.port;
    if (!isReady || port === undefined || pod?.namespace !== namespace || !isProxyable(address)) return [];
    return [{ address, port, nodeName, pod: pod.name }];
  });
  // The first steps of Fisher and Yates.
  for (let at = 0; at < Math.min(max, good.length - 1); at += 1) {
    const other = at + Math.floor(random() * (good.length - at));
    const [here, there] = [good[at], good[other]];
    if (here !== undefined && there !== undefined) [good[at], good[other]] = [there, here];
  }
  return good.slice(0, max);
}
