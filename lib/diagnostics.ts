import createDebug from 'debug';

/**
 * The `debug` namespaces. `DEBUG=tunnel-dialer:*` shows them all.
 * Only names, addresses, counts, codes and fingerprints may be passed to them: never options, keys or data.
 */
export const debug = {
  dialer: createDebug('tunnel-dialer:dialer'),
  router: createDebug('tunnel-dialer:router'),
  pool: createDebug('tunnel-dialer:pool'),
  ssh: createDebug('tunnel-dialer:ssh'),
  hostKeys: createDebug('tunnel-dialer:host-keys'),
  listen: createDebug('tunnel-dialer:listen'),
  tls: createDebug('tunnel-dialer:tls'),
  kubernetes: createDebug('tunnel-dialer:kubernetes'),
  kubelet: createDebug('tunnel-dialer:kubelet'),
} as const;
