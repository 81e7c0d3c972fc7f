import type { TunnelSocket } from '../../dialer.js';
import type { KubeletAccess } from '../kubelet-access.js';
import { ForwardedSocket } from './forwarded-socket.js';
import { pathOf } from '../names.js';
import { openWire } from './open-wire.js';
import { checkPortForward, type PortForwardOptions } from './options.js';

/**
 * Opens one connection to a port of a pod: `/portForward/{namespace}/{pod}` (kubernetes/pkg/kubelet/server/server.go). That nobody listens
 * there is known only later, and destroys the socket.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; {@link KubeletError} when the kubelet refuses; {@link KubeletTimeoutError}; {@link StreamingError}; errors of the dial and of
 *   TLS as they are; the signal's reason
 */
export async function openPortForward(
  access: KubeletAccess,
  options: PortForwardOptions,
): Promise<TunnelSocket> {
  const { namespace, pod, port, lingerMs, timeoutMs, signal } = checkPortForward(options);
  const path = `${pathOf('portForward', namespace, pod)}?port=${port}`;
  const request = { path, protocols: ['v4.channel.k8s.io'], timeoutMs, signal };
  return openWire(access, request, (wire) => new ForwardedSocket(wire, { port, lingerMs, signal }));
}
