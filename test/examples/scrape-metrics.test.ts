import { expect } from 'chai';
import { readdir, readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { NodeSpec } from '../../lib/index.js';
import type { Outcome } from './command-host.js';
import { FakeApiServer, type FakeNode } from '../support/fake-api-server.js';
import { refusedEndpoint } from '../support/endpoints.js';
import { CommandHost, Rig } from './rig.js';

describe('examples: scrape-metrics', () => {
  let rig: Rig;
  let host: CommandHost;
  before(async () => {
    rig = await Rig.start();
    host = new CommandHost('scrapeMetrics');
  });
  after(async () => {
    await host.end();
    await rig.end();
  });

  /** As the rig's node, but for what is changed. */
  const spec = (name: string, changes: Partial<NodeSpec> = {}): NodeSpec => {
    const { address, port } = rig.ssh.spec;
    return { name, address, port, ...changes };
  };

  const login = (): string[] => [
    '--user=tunnel',
    `--key=${rig.path('key')}`,
    `--known-hosts=${rig.path('known_hosts')}`,
    `--ca=${rig.path('ca.crt')}`,
    `--token-file=${rig.path('token')}`,
  ];

  async function scrape(nodes: readonly object[], ...more: string[]): Promise<Outcome> {
    const file = await rig.file('nodes.json', JSON.stringify({ nodes }));
    return host.run([...login(), `--nodes=${file}`, ...more]);
  }

  it('shows itself with --demo, with a line for each node, and ends', async () => {
    const { stdout, ended } = rig.spawn('scrape-metrics.ts', ['--demo']);
    const shown = await text(stdout);
    expect(shown).to.match(/^NODE +STATUS +BYTES +MS\nnode-1 +200 +\d+ +\d+\n/);
    expect(shown).to.match(/^node-4 +FAILED +- +\d+$/m);
    expect(shown).to.match(/^node-4: .*Connection refused; is the kubelet up\?/m);
    expect(shown).to.include('4 of 5 kubelets have answered');
    const { code, errors } = await ended;
    expect(code).to.equal(0);
    expect(errors).to.match(/^(\d\/5 nodes.*: node-\d \w+ [\d-]+ \d+\n){5}$/);
  });

  it('draws a bar where there is a terminal', async () => {
    const { code, errors } = await scrape([spec('a'), spec('b')]);
    expect(code).to.equal(0);
    expect(errors).to.match(/^\r\[#+\.+\] 1\/2 nodes\r\[#+\] 2\/2 nodes\n$/);
  });

  it('puts what each kubelet answers into a folder', async () => {
    const folder = rig.path('saved');
    const { code, output, errors } = await scrape([spec('a'), spec('b')], `--save=${folder}`);
    expect(code, errors).to.equal(0);
    expect(output).to.include('2 of 2 kubelets');
    expect((await readdir(folder)).sort()).to.deep.equal(['a.txt', 'b.txt']);
    expect(await readFile(`${folder}/a.txt`, 'utf8')).to.match(/^# HELP /);
  });

  it('asks for what --path says', async () => {
    for (const [path, bytes] of [
      ['/healthz', 2],
      ['/metrics/cadvisor', undefined],
    ] as const) {
      const { output } = await scrape([spec('a')], `--path=${path}`, '--json');
      const [found] = JSON.parse(output) as { status: number; bytes: number }[];
      expect(found?.status).to.equal(200);
      if (bytes !== undefined) expect(found?.bytes).to.equal(bytes);
      expect(rig.kubelet.requests.at(-1)?.url).to.equal(path);
    }
  });

  it("asks a cluster's nodes, and tells of those that it cannot ask", async () => {
    const server = await FakeApiServer.start();
    rig.onEnd(() => server.close());
    const worker = (name: string, ...addresses: string[]): FakeNode => ({
      metadata: { name, annotations: { 'tunnel-dialer/ssh-port': String(rig.ssh.spec.port) } },
      status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
    });
    server.put(worker('worker-1', '127.0.0.1'), worker('worker-2', '127.0.0.1'));
    const kubeconfig = await rig.file('kubeconfig', server.kubeconfig());
    const argv = [...login(), `--kubeconfig=${kubeconfig}`];
    const all = await host.run(argv);
    expect(all.code, all.errors).to.equal(0);
    expect(all.output)
      .to.match(/^worker-1 +200 +\d+ +\d+\nworker-2 +200 /m)
      .and.include('2 of 2 kubelets');
    server.put(worker('worker-2'));
    const some = await host.run(argv);
    expect(some.code, some.errors).to.equal(1);
    expect(some.output)
      .to.match(/^worker-2 +FAILED /m)
      .and.match(/^worker-2: it has no usable address of type InternalIP/m)
      .and.include('1 of 2 kubelets');
    const other = await host.run([...argv, '--context=elsewhere']);
    expect(other.code).to.equal(2);
    expect(other.errors).to.match(/^scrape-metrics: .*elsewhere.*\n$/);
  });

  it('leaves bastions alone', async () => {
    const { code, output } = await scrape([spec('a', { via: 'b' }), spec('b', { bastion: true })]);
    expect(code).to.equal(0);
    expect(output).to.include('1 of 1 kubelets').and.not.match(/^b /m);
  });

  it('asks the others though some nodes have troubles, and gives a hint for each', async () => {
    const { port } = await refusedEndpoint();
    const { code, output } = await scrape([
      spec('a'),
      spec('b', { port }),
      spec('c', { hostKey: `SHA256:${'A'.repeat(43)}` }),
      spec('d', { kubeletPort: port }),
    ]);
    expect(code).to.equal(1);
    expect(output).to.match(/^a +200 /m);
    expect(output).to.match(/^b: .*ECONNREFUSED/m);
    expect(output).to.match(/^c: .*SHA256:/m);
    expect(output).to.match(/^d: .*refused; is the kubelet up\? kubeletPort/m);
    expect(output).to.include('1 of 4 kubelets');
  });

  it('shows the status of a kubelet that refuses', async () => {
    const token = await rig.file('other-token', 'not-one-of-its-own\n');
    const { code, output } = await scrape([spec('a')], `--token-file=${token}`);
    expect(code).to.equal(1);
    expect(output).to.match(/^a +401 +- +\d+$/m);
    expect(output).to.match(/^a: the kubelet answered 401: Unauthorized; identify yourself: /m);
    expect(output).not.to.include('not-one-of-its-own');
  });

  it('says in one line how it is used wrongly', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /one of --nodes and --kubeconfig/],
      [['--nodes=a', '--kubeconfig=b'], /one of --nodes and --kubeconfig/],
      [['--nodes=a', '--context=b'], /--context belongs/],
      [['--nodes=a', 'b'], /no names/],
      [['--nodes=a', '--path=/pods'], /--path must be/],
      [['--nodes=a', '--concurrency=0'], /--concurrency must be/],
      [['--nodes=/nonexistent'], /ENOENT/],
      [[`--nodes=${await rig.file('none.yaml', '[]')}`], /there are no nodes in it that have a kubelet/],
      [[`--nodes=${await rig.file('n.yaml', '- { name: a, address: b }')}`], /nothing to log in with/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(errors)
        .to.match(said)
        .and.match(/^scrape-metrics: [^\n]*\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
    const { code, errors } = await scrape([spec('a')], '--insecure-skip-tls-verify');
    expect(code).to.equal(2);
    expect(errors).to.match(/exclude each other/);
  });
});
