import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startKubelet, startSshNode } from 'tunnel-dialer/testing';
import type { Command, Surroundings } from './command.js';
import { dim, StageDirections } from './stage-directions.js';

/**
 * Shows the command at work without a cluster: an SSH node and a kubelet are started in this process, and the command is run against them
 * as it is. Resolves with 0 if everything went as it should.
 */
export async function kubeletLogsDemo(
  show: Command,
  { output, signal }: Pick<Surroundings, 'output' | 'signal'>,
): Promise<number> {
  const stage = new StageDirections(output);

  // The cluster: a kubelet, and a node on which it is found at port 10250.
  await using kubelet = await startKubelet({
    pods: [{ namespace: 'shop', name: 'cart-7d4b9c', containers: [{ name: 'cart' }] }],
  });
  const client = kubelet.clientCertificate();
  const log = kubelet.container('shop', 'cart-7d4b9c', 'cart');
  const sell = (order: number): void => {
    log.print(`order ${order}: ${(order % 5) + 1} × crème brûlée, paid`);
  };
  for (const order of [1017, 1018, 1019, 1020]) sell(order);

  await using node = await startSshNode({
    redirect: (_host, port) => (port === 10250 ? { host: '127.0.0.1', port: kubelet.port } : undefined),
  });

  const folder = await mkdtemp(join(tmpdir(), 'tunnel-dialer-demo-'));
  try {
    const files: Record<string, string> = {
      'known-hosts': `${node.knownHostsLine}\n`,
      key: node.ssh.privateKey,
      ca: kubelet.certificateAuthority,
      cert: client.certificate,
      'client-key': client.privateKey,
    };
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(folder, name), content, { mode: 0o600 });
    }
    const { address, port } = node.spec;
    const always = [
      ...['--node', `${address}:${port}`, '--user', 'tunnel', '--namespace', 'shop'],
      ...Object.keys(files).flatMap((name) => [`--${name}`, join(folder, name)]),
    ];
    const unexpected: string[] = [];

    /** Runs the command and says whether it ended as it should. */
    const run = async (expected: number, ...args: string[]): Promise<void> => {
      stage.say(`  $ kubelet-logs ${dim('…')} ${args.join(' ')}`);
      const code = await show([...always, ...args], {
        output: stage.indented('    '),
        errors: stage.indented('    ', dim),
        environment: {},
        signal,
      });
      stage.say(dim(`    exit code ${code}`));
      if (code !== expected) unexpected.push(args.join(' '));
    };
    const container = ['cart-7d4b9c', 'cart'];

    stage.heading('A node with sshd, and a kubelet that is reached through it only');
    stage.say(`  sshd      ${address} port ${port}, host key ${node.hostKey.fingerprint}`);
    stage.say(`  kubelet   port 10250 of the node, HTTPS, wants a client certificate`);
    stage.say(`  options   ${dim('that stand for the dots below:')}`);
    stage.say(
      dim(
        `            ${always
          .join(' ')
          .replaceAll(join(folder, '/'), '')
          .replace(/(.{40,75}) (--)/g, '$1\n            $2')}`,
      ),
    );

    stage.heading('Read the last lines of a log');
    await run(0, '--verbose', '--tail', '3', ...container);

    stage.heading(
      'Follow it, until the connection to the node breaks: a cut is never taken for the end of the log',
    );
    const following = run(1, '--follow', '--tail', '1', ...container);
    for (const order of [1021, 1022, 1023, 1024, 1025]) {
      await sleep(250, undefined, { signal });
      sell(order);
    }
    await sleep(250, undefined, { signal });
    node.cut('rst');
    await following;

    stage.heading('The node is back, and the rest of the log with it');
    await run(0, '--verbose', '--timestamps', '--since', '1m', '--tail', '2', ...container);

    stage.heading('Somebody else answers in place of the node: nothing is sent, not even the key is tried');
    node.changeHostKey();
    await run(1, '--tail', '3', ...container);

    stage.say('');
    stage.say('That was examples/kubelet-logs.ts as it is. On your own cluster:');
    stage.say('  npm run kubelet-logs -- --help');
    return unexpected.length === 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true });
  }
}
