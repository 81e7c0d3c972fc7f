import type { KubeletAccess } from '../../../lib/kubelet/kubelet-access.js';
import type { Dialer } from '../../../lib/index.js';
import { httpsAgent } from '../../../lib/http/index.js';
import { startKubelet, type Kubelet, type KubeletOptions } from '../../../lib/testing/index.js';
import { Stage } from '../../http/stage.js';

/** A container of `startKubelet`'s own. */
export const APP = { namespace: 'default', pod: 'web', container: 'app' };

/** How to reach a kubelet of `startKubelet` through a dialer. */
export function accessTo(kubelet: Kubelet, dialer: Dialer, host = kubelet.host): KubeletAccess {
  return {
    node: kubelet.nodeName,
    host,
    port: kubelet.port,
    timeoutMs: 30_000,
    agent: httpsAgent(dialer, { ca: kubelet.certificateAuthority }),
    headers: () => Promise.resolve({ Authorization: `Bearer ${kubelet.token}` }),
  };
}

/** A kubelet that runs commands, behind an SSH node, and the access to it. */
export interface Rig {
  readonly stage: Stage;
  readonly kubelet: Kubelet;
  readonly access: KubeletAccess;
}

export async function startRig(options?: KubeletOptions): Promise<Rig> {
  const stage = await Stage.start();
  const kubelet = await startKubelet(options);
  stage.onEnd(() => kubelet.close());
  const access = accessTo(kubelet, stage.recorder);
  stage.using(access.agent);
  return { stage, kubelet, access };
}
