import type { Dialer } from '../../dialer.js';
import { InvalidOptionError } from '../../errors.js';
import { KUBELET_ADDRESS_TYPES, type KubeletAddressType } from '../../kubelet/kubelet-node.js';
import type { KubeletClientOptions } from '../../kubelet/client-options.js';
import { accessFrom } from '../../kubelet/kubelet-access.js';
import { atOption } from '../at-option.js';
import { describeKind, integer, objectOf, withDefault, type Check } from '../../validation.js';

/**
 * How the proxy reaches kubelets and is known to them: as a `KubeletClient`, but by client certificate only, because the requests that it
 * relays are not its own, and a token would have to be written into each of them.
 */
export type KubeletBackendOptions = Omit<KubeletClientOptions, 'node' | 'token' | 'tokenFile' | 'timeoutMs'>;

/** Options of {@link Backends}. */
export interface BackendsOptions {
  /** Client certificate, and how kubelets are verified; there is no default. */
  kubelet: KubeletBackendOptions;
  /** Of how many nodes connections are kept; those of the node that was asked for the longest time ago go first. Default: 2000. */
  maxNodes?: number | undefined;
}

/** The options with defaults filled in. */
export interface BackendsSettings {
  readonly kubelet: KubeletBackendOptions;
  readonly addressTypes: readonly KubeletAddressType[];
  readonly maxNodes: number;
}

const NOT_HERE = {
  node: 'has no meaning here: the request tells it',
  timeoutMs: 'has no meaning here: whoever makes the request waits as long as they like',
  token: 'cannot be used for a proxy: give clientCertificate and clientKey, or tls',
  tokenFile: 'cannot be used for a proxy: give clientCertificate and clientKey, or tls',
} as const;

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkBackendsOptions(dialer: Dialer, options: BackendsOptions): BackendsSettings {
  const check = objectOf({
    kubelet: kubeletOptions(dialer),
    maxNodes: withDefault(integer(1, 100_000), 2000),
  } satisfies Record<keyof BackendsOptions, Check<unknown>>);
  const { kubelet, maxNodes } = check(options, '');
  return { kubelet, maxNodes, addressTypes: kubelet.addressTypes ?? KUBELET_ADDRESS_TYPES };
}

function kubeletOptions(dialer: Dialer): Check<KubeletBackendOptions> {
  return (value, path) => {
    if (typeof value !== 'object' || value === null)
      throw new InvalidOptionError(path, `must be an object, got ${describeKind(value)}`);
    const own: Record<string, unknown> = { ...value };
    for (const [name, problem] of Object.entries(NOT_HERE))
      if (own[name] !== undefined) throw new InvalidOptionError(`${path}.${name}`, problem);
    // Dials nothing, and says what is wrong before the first request does.
    atOption(path, () => accessFrom(dialer, { ...own, node: 'any' }));
    return Object.freeze(own);
  };
}
