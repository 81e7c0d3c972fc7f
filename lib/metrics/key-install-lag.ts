import type { MonitoredNode } from './monitored-dialer.js';

/** How long ago, in seconds, our key was last installed on a node, or became the one to install; `undefined` if nobody installs it. */
export function keyInstallLag({ keyInstall }: MonitoredNode): number | undefined {
  if (keyInstall === undefined) return undefined;
  return Math.max(0, Date.now() - keyInstall.lagSince.getTime()) / 1000;
}
