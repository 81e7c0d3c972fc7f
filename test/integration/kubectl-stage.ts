import type { AnsweredRequest } from '../../lib/apiserver/index.js';
import {
  startApiServer,
  startKubelet,
  type ApiServer,
  type Kubelet,
  type KubeletOptions,
} from '../../lib/testing/index.js';
import { startProxyFront } from '../support/apiserver-front.js';
import { Kubectl } from '../support/kubectl.js';
import type { startRelayingFront } from '../support/relaying-front.js';
import { RunningProgram } from '../support/running-program.js';
import { NODE, Stage } from './stage.js';

/** The pod that is there from the beginning. */
export const POD = { namespace: 'shop', name: 'cart' };
/** What every kubectl is told. */
export const WANTED = ['-n', POD.namespace];

/** A cluster behind a real sshd, and kubectl in front of it. */
export interface KubectlCluster {
  readonly kubectl: Kubectl;
  readonly kubelet: Kubelet;
  readonly apiServer: ApiServer;
  /** URL of the proxy. */
  readonly url: string;
  /** How upgrades of this subresource were answered that are over, oldest first, such as `GET 101`. */
  readonly answered: (subresource: string) => readonly string[];
}

/** The real kubectl, an apiserver proxy, a real sshd, and a kubelet behind it. */
export class KubectlStage extends Stage {
  /** @param startProxy - what stands in front of the API server. Default: an `ApiserverProxy` */
  async start(
    kubeletOptions: KubeletOptions = {},
    startProxy: typeof startRelayingFront = startProxyFront,
  ): Promise<KubectlCluster> {
    const sshd = await this.sshd();
    const { listenHost, endpointHost } = sshd;
    const kubelet = await this.use(
      startKubelet({
        nodeName: NODE,
        host: listenHost,
        altNames: [endpointHost],
        pods: [{ ...POD, containers: [{ name: 'app' }] }],
        ...kubeletOptions,
      }),
    );
    const node = {
      kind: 'Node',
      metadata: { name: NODE },
      status: {
        addresses: [{ type: 'InternalIP', address: endpointHost }],
        daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
      },
    };
    const pod = {
      kind: 'Pod',
      metadata: POD,
      spec: { nodeName: NODE, containers: [{ name: 'app', image: 'none' }] },
      status: {
        phase: 'Running',
        podIPs: [{ ip: '10.2.0.5' }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    };
    const apiServer = await this.use(startApiServer({ objects: [node, pod] }));
    const requests: AnsweredRequest[] = [];
    const onAnswer = (answered: AnsweredRequest): void => void requests.push(answered);
    const { url } = await this.use(startProxy(this.dialer(sshd), { apiServer, kubelet }, { onAnswer }));
    return {
      kubectl: await this.kubectl(apiServer.kubeconfig('admin', url)),
      kubelet,
      apiServer,
      url,
      answered: (subresource) =>
        requests
          .filter(({ path, isUpgrade }) => isUpgrade && path.endsWith(`/${subresource}`))
          .map(({ method, status }) => `${method} ${status}`),
    };
  }

  /** One more kubectl, for another way to the cluster. */
  async kubectl(kubeconfig: string): Promise<Kubectl> {
    const kubectl = await Kubectl.create(kubeconfig);
    this.onEnd(() => kubectl[Symbol.asyncDispose]());
    return kubectl;
  }

  /** A kubectl that a test talks with. */
  running(kubectl: Kubectl, args: readonly string[], environment: NodeJS.ProcessEnv = {}): RunningProgram {
    return this.program(Kubectl.path ?? '', args, { ...kubectl.environment, ...environment });
  }

  /** Forwards a port of this machine to one behind the pod, until the end of the test; tells it. */
  async forward(kubectl: Kubectl, behind: number, environment: NodeJS.ProcessEnv = {}): Promise<number> {
    const forwarding = this.running(
      kubectl,
      [...WANTED, 'port-forward', POD.name, `:${behind}`],
      environment,
    );
    const [, port] = await forwarding.until(/127\.0\.0\.1:(\d+) ->/);
    return Number(port);
  }

  /** The same for any program. */
  program(path: string, args: readonly string[], environment: NodeJS.ProcessEnv): RunningProgram {
    const program = new RunningProgram(path, args, environment);
    this.onEnd(() => program.close());
    return program;
  }
}
