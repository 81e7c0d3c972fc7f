import { KubeletClient, type KubeletClientOptions } from '../../lib/kubelet/index.js';
import { startKubelet, type Kubelet, type KubeletOptions, type SshNode } from '../../lib/testing/index.js';
import type { TunnelDialer } from '../../lib/tunnel-dialer.js';
import { Lab } from '../support/dialer.js';

/** A kubelet on a node that is reached through SSH only. */
export class KubeletStage extends Lab {
  readonly ssh: SshNode;
  readonly through: TunnelDialer;
  readonly kubelet: Kubelet;

  private constructor(ssh: SshNode, dialer: TunnelDialer, kubelet: Kubelet) {
    super();
    this.ssh = ssh;
    this.through = dialer;
    this.kubelet = kubelet;
  }

  static async start(options?: KubeletOptions): Promise<KubeletStage> {
    const lab = new Lab();
    const ssh = await lab.node();
    const dialer = lab.dialer([ssh], { reconnect: { minMs: 1, maxMs: 5 } });
    const stage = new KubeletStage(ssh, dialer, await startKubelet(options));
    stage.onEnd(() => lab.end());
    stage.onEnd(() => stage.kubelet.close());
    return stage;
  }

  /** What works, but for what is changed in it. */
  options(changes: Partial<KubeletClientOptions> = {}): KubeletClientOptions {
    const { host: address, port, certificateAuthority, token } = this.kubelet;
    return { node: { name: this.ssh.spec.name, address, port }, certificateAuthority, token, ...changes };
  }

  client(changes?: Partial<KubeletClientOptions>): KubeletClient {
    const client = new KubeletClient(this.through, this.options(changes));
    this.onEnd(() => client.close());
    return client;
  }
}
