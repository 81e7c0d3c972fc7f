import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ProxyRequest, ProxyResponse } from './exchange.js';
import { NodeBound, type Services } from './node-bound.js';
import type { ApiserverParts } from './parts.js';
import type { RouteKind } from './routes.js';
import { asStatusError, sendStatus } from './send-status.js';
import { PodLogs } from './services/pod-logs.js';
import { PodPortForward, PodStreams } from './services/pod-streams.js';
import { Pods } from './services/pods.js';
import { Proxied } from './services/proxied.js';
import { isGone, isOutOfTurn, turnOf } from './turn-of.js';
import { sendStatusOnSocket } from './upgrade/send-status.js';
import { checkHeadIsWhole } from './whole-head.js';

/** Serves some of the paths of a kube-apiserver, and leaves the others alone. */
export interface ApiserverHandler {
  /**
   * Serves a request of a server of `node:http`, `node:https` or `node:http2`, to its end. Never rejects.
   *
   * @returns `false` if it is none of its own; nothing has been touched then
   */
  request(request: ProxyRequest, response: ProxyResponse): Promise<boolean>;
  /** The same for what a server's `upgrade` event tells. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<boolean>;
}

/** Every node-bound request there is. */
export function servicesOf({ resolver, targets }: ApiserverParts): Required<Services> {
  const pods = new Pods(resolver, targets);
  return {
    'node-proxy': new Proxied((task) => targets.node(task.route.target, task)),
    'pod-proxy': new Proxied((task) => targets.pod(task.route.namespace, task.route.target, task)),
    'service-proxy': new Proxied((task) => targets.service(task.route.namespace, task.route.target, task)),
    'pod-log': new PodLogs(pods),
    'pod-exec': new PodStreams(pods),
    'pod-attach': new PodStreams(pods),
    'pod-portforward': new PodPortForward(pods),
  };
}

function handlerOf(parts: ApiserverParts, kind: RouteKind): ApiserverHandler {
  const { access, capacity } = parts;
  const bound = new NodeBound(access, { [kind]: servicesOf(parts)[kind] });
  return {
    async request(request, response) {
      const route = bound.routeOf(request);
      if (route === undefined) return false;
      try {
        await turnOf({ request, response });
        if (isGone({ request, response })) return true;
        checkHeadIsWhole(request);
        await capacity.run('long-running', response, async () =>
          bound.request({ request, response }, route, await access.authenticate(request)),
        );
      } catch (error) {
        sendStatus({ request, response }, asStatusError(error));
      }
      return true;
    },
    async upgrade(request, socket, head) {
      const route = bound.routeOf(request);
      if (route === undefined) return false;
      socket.on('error', () => undefined); // 'close' follows
      if (isOutOfTurn(request)) {
        socket.destroy();
        return true;
      }
      try {
        checkHeadIsWhole(request);
        await capacity.run('long-running', undefined, async () =>
          bound.upgrade({ request, socket, head }, route, await access.authenticate(request)),
        );
      } catch (error) {
        sendStatusOnSocket(socket, asStatusError(error));
      }
      return true;
    },
  };
}

/** `/api/v1/nodes/[scheme:]NAME[:port]/proxy/…`: a node's kubelet, or another port of it. */
export const nodeProxy = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'node-proxy');

/** `/api/v1/namespaces/NS/pods/[scheme:]NAME[:port]/proxy/…` */
export const podProxy = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'pod-proxy');

/** `/api/v1/namespaces/NS/services/[scheme:]NAME[:port]/proxy/…`: one of its ready endpoints. */
export const serviceProxy = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'service-proxy');

/** `/api/v1/namespaces/NS/pods/NAME/log`, also over WebSocket. */
export const podLogs = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'pod-log');

/** `/api/v1/namespaces/NS/pods/NAME/exec` over SPDY/3.1 and WebSocket. */
export const podExec = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'pod-exec');

/** `/api/v1/namespaces/NS/pods/NAME/attach` over SPDY/3.1 and WebSocket. */
export const podAttach = (parts: ApiserverParts): ApiserverHandler => handlerOf(parts, 'pod-attach');

/** `/api/v1/namespaces/NS/pods/NAME/portforward` over SPDY/3.1 and WebSocket. */
export const podPortForward = (parts: ApiserverParts): ApiserverHandler =>
  handlerOf(parts, 'pod-portforward');
