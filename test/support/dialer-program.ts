import { once } from 'node:events';
import { inspect } from 'node:util';
import {
  pinnedHostKey,
  TunnelDialer,
  type NodeSpec,
  type TunnelDialerOptions,
  type TunnelSocket,
} from '../../lib/index.js';

/** What a run of this program is told on its standard input. */
export interface Orders {
  readonly scenario: keyof typeof scenarios;
  readonly options: TunnelDialerOptions & { readonly nodes: readonly NodeSpec[] };
  /** An endpoint that echoes, as the node sees it. */
  readonly port: number;
  /** More for some scenarios. */
  readonly extra?: Record<string, string> | undefined;
}

/*
 * A program that uses a dialer, for tests of what only a process of its own can show: that it exits by itself, and what it prints. The
 * nodes live in the test's process, so that nothing but the dialer can keep this one running.
 */
const scenarios = {
  closeWithStreams: async ({ options, port }: Orders) => {
    const dialer = new TunnelDialer(options);
    const stream = await dialer.dial('127.0.0.1', port);
    const closing = dialer.close();
    stream.write('last words');
    await once(stream, 'data');
    stream.end();
    await closing;
    return `${String(stream.destroyed)} ${dialer.status().state}`;
  },

  closeAfterGrace: async ({ options, port }: Orders) => {
    const dialer = new TunnelDialer(options);
    const stream = await dialer.dial('127.0.0.1', port);
    stream.once('error', (error) => console.log((error as NodeJS.ErrnoException).code));
    await dialer.close();
    return dialer.status().state;
  },

  closeIdle: async ({ options }: Orders) => {
    const dialer = new TunnelDialer(options);
    await dialer.ready();
    await dialer.close();
    await dialer.close();
    dialer.destroy();
    return dialer.status().state;
  },

  /** In whatever state the node is by now. */
  closeWhenConnecting: async ({ options }: Orders) => {
    const dialer = new TunnelDialer(options);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await dialer.close();
    return dialer.status().state;
  },

  closeWhenDown: async ({ options }: Orders) => {
    const dialer = new TunnelDialer(options);
    await down(dialer);
    await dialer.close();
    return dialer.status().state;
  },

  destroyWithStreams: async ({ options, port }: Orders) => {
    const dialer = new TunnelDialer(options);
    const stream = await dialer.dial('127.0.0.1', port);
    const waiting = dialer.dial('127.0.0.1', port, { signal: new AbortController().signal });
    const errored = once(stream, 'error') as Promise<[NodeJS.ErrnoException]>;
    dialer.destroy();
    dialer.destroy();
    const [[error], outcome] = await Promise.all([errored, codeOf(waiting)]);
    await dialer.close();
    return `${String(error.code)} ${outcome}`;
  },

  destroyWhenConnecting: async ({ options, port }: Orders) => {
    const dialer = new TunnelDialer(options);
    const waiting = codeOf(dialer.dial('127.0.0.1', port));
    const ready = codeOf(dialer.ready());
    await new Promise((resolve) => setTimeout(resolve, 50));
    dialer.destroy();
    return `${await waiting} ${await ready}`;
  },

  destroyWhenDown: async ({ options }: Orders) => {
    const dialer = new TunnelDialer(options);
    await down(dialer);
    dialer.destroy();
    return dialer.status().state;
  },

  /** A dialer that keeps nothing up and was never used needs no end. */
  neverUsed: ({ options }: Orders) => {
    new TunnelDialer({ ...options, pool: { minConnections: 0 } });
    return Promise.resolve('never used');
  },

  refusedOptions: ({ options }: Orders) => {
    try {
      new TunnelDialer({ ...options, nodes: [...options.nodes, { name: 'bare', address: '127.0.0.1' }] });
    } catch (error) {
      return Promise.resolve((error as NodeJS.ErrnoException).code ?? '');
    }
    return Promise.resolve('accepted');
  },

  /** Success and failure of every kind, all of it printed in every way. */
  printEverything: async ({ options, port, extra = {} }: Orders) => {
    const show = (value: unknown): void => {
      console.log(inspect(value, { depth: Infinity, showHidden: true }));
      console.log(JSON.stringify(value));
      console.log(String(value));
    };
    const dialer = new TunnelDialer(options);
    dialer.on('nodeState', show);
    const stream = await dialer.dial('127.0.0.1', port);
    stream.write(extra.data ?? '');
    await once(stream, 'data');
    for (const value of [dialer, stream, dialer.status()]) show(value);
    stream.on('error', show);
    show(await errorOf(dialer.dial('127.0.0.1', 1)));
    show(await errorOf(dialer.dial('a b', 1)));
    show(await errorOf(dialer.dial('127.0.0.1', port, { node: 'nobody' })));
    dialer.destroy(new Error('the end'));
    show(await errorOf(dialer.dial('127.0.0.1', port)));
    const attempts: Partial<TunnelDialerOptions>[] = [
      { nodes: options.nodes.map((node) => ({ ...node, username: 'somebody-else' })) },
      { ssh: { ...options.ssh, passphrase: extra.wrongPassphrase } },
      { ssh: { ...options.ssh, passphrase: undefined } },
      { ssh: { ...options.ssh, privateKey: extra.brokenKey } },
      { ssh: { ...options.ssh, username: extra.brokenKey ?? '' } },
      {
        ssh: {
          ...options.ssh,
          agent: '/nonexistent/agent',
          hostKeys: pinnedHostKey(`SHA256:${'A'.repeat(43)}`),
        },
      },
      { nodes: options.nodes.map((node) => ({ ...node, hostKey: `SHA256:${'A'.repeat(43)}` })) },
      { nodes: options.nodes.map((node) => ({ ...node, hostKey: extra.brokenKey })) },
    ];
    for (const attempt of attempts) {
      try {
        const other = new TunnelDialer({ ...options, ...attempt });
        show(await errorOf(other.dial('127.0.0.1', port, { timeoutMs: 5000 })));
        show(other);
        show(other.status());
        await other.close();
      } catch (error) {
        show(error);
      }
    }
    return 'everything';
  },
} satisfies Record<string, (orders: Orders) => Promise<string>>;

async function down(dialer: TunnelDialer): Promise<void> {
  while (dialer.status().nodes[0]?.state !== 'down') await new Promise((resolve) => setTimeout(resolve, 5));
}

async function errorOf(promise: Promise<TunnelSocket>): Promise<unknown> {
  return promise.then(
    (stream) => (stream.destroy(), 'no error'),
    (error: unknown) => error,
  );
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error as NodeJS.ErrnoException).code ?? 'no code',
  );
}

if (process.argv[1]?.endsWith('dialer-program.ts') === true) {
  let input = '';
  for await (const chunk of process.stdin) input += String(chunk);
  const orders = JSON.parse(input) as Orders;
  console.log(`result: ${await scenarios[orders.scenario](orders)}`);
}
