import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { WebSocket } from 'ws';
import type { Backend } from '../../../lib/apiserver/backend.js';
import { StatusError } from '../../../lib/apiserver/index.js';
import type { UpgradeRelay } from '../../../lib/apiserver/upgrade/relay-upgrade.js';
import { sendStatusOnSocket } from '../../../lib/apiserver/upgrade/send-status.js';
import { startKubelet, type Kubelet, type KubeletOptions } from '../../../lib/testing/index.js';

/** A proxy that translates every upgrade for a kubelet before 1.36. */
export class Stage implements AsyncDisposable {
  readonly kubelet: Kubelet;
  readonly statuses: number[] = [];
  readonly #server: http.Server;

  private constructor(kubelet: Kubelet, translate: (relay: UpgradeRelay) => Promise<void>) {
    this.kubelet = kubelet;
    const backend = backendOf(kubelet);
    const onAnswer = (status: number): void => void this.statuses.push(status);
    this.#server = http.createServer().on('upgrade', (request, socket, head) => {
      const path = request.url ?? '/';
      translate({ upgrade: { request, socket, head }, backend, path, onAnswer }).catch((error: unknown) => {
        if (!(error instanceof StatusError)) throw error;
        sendStatusOnSocket(socket, error);
      });
    });
  }

  static async start(
    translate: (relay: UpgradeRelay) => Promise<void>,
    options: KubeletOptions = {},
  ): Promise<Stage> {
    const stage = new Stage(
      await startKubelet({ protocols: ['v4'], anonymous: true, ...options }),
      translate,
    );
    stage.#server.listen(0, '127.0.0.1');
    await once(stage.#server, 'listening');
    return stage;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  connect(path: string, protocols: string[]): WebSocket {
    // The package takes no names of protocols such as a tunnel's.
    const isTunnel = protocols.some((name) => name.includes('/'));
    const headers = isTunnel ? { 'sec-websocket-protocol': protocols.join(', ') } : {};
    const url = `ws://127.0.0.1:${this.port}${path}`;
    return new WebSocket(url, isTunnel ? [] : protocols, { headers }).on('error', () => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await this.kubelet.close();
    await closed;
  }
}

function backendOf({ host, port, certificateAuthority: ca }: Kubelet): Backend {
  return {
    scheme: 'https',
    host,
    port,
    authority: `${host}:${port}`,
    agent: new https.Agent({ ca }),
    connect: async () => {
      const socket = connect({ host, port, ca });
      await once(socket, 'secureConnect');
      return socket;
    },
  };
}
