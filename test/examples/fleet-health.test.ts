import { expect } from 'chai';
import { createAuthority } from '../../lib/testing/certificates.js';
import { HELP } from '../../examples/support/fleet-health/arguments.js';
import type { Finding } from '../../examples/support/fleet-health/examine.js';
import type { NodeSpec } from '../../lib/index.js';
import type { SshNode } from '../../lib/testing/index.js';
import type { Outcome } from './command-host.js';
import { FakeApiServer } from '../support/fake-api-server.js';
import { CommandHost, Rig } from './rig.js';

describe('examples: fleet-health', () => {
  let rig: Rig;
  let host: CommandHost;
  before(async () => {
    rig = await Rig.start();
    host = new CommandHost('fleetHealth');
    await rig.replaceKubelet((request, response) => {
      response.writeHead(request.url === '/healthz' ? 200 : 500).end();
    });
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

  async function examine(nodes: readonly object[], ...more: string[]): Promise<Outcome> {
    const file = await rig.file('nodes.json', JSON.stringify({ nodes }));
    const files = ['key', 'known-hosts=known_hosts', 'ca=ca.crt'].map((option) => {
      const [name = '', path = name] = option.split('=');
      return `--${name}=${rig.path(path)}`;
    });
    return host.run(['--user=tunnel', ...files, ...more, file]);
  }

  async function findings(nodes: readonly object[], ...more: string[]): Promise<Finding[]> {
    const { output } = await examine(nodes, '--json', ...more);
    return JSON.parse(output) as Finding[];
  }

  it('says that all is well, and how long each step took', async () => {
    const { code, output, errors } = await examine([spec('a'), spec('b')]);
    expect(code, errors).to.equal(0);
    expect(output).to.match(/^NODE +ADDRESS +TCP +HOST KEY +LOGIN +FORWARDING +KUBELET$/m);
    expect(output).to.match(/^a +127\.0\.0\.1:\d+ +\d+ ms +ok +ok +\d+ ms +\d+ ms$/m);
    expect(output).to.include('2 of 2 nodes are well');
    expect(errors).to.include('2/2 nodes\n');
  });

  it("examines a cluster's nodes", async () => {
    const server = await FakeApiServer.start();
    rig.onEnd(() => server.close());
    const { port } = rig.ssh.spec;
    server.put({
      metadata: { name: 'worker-1', annotations: { 'tunnel-dialer/ssh-port': String(port) } },
      status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] },
    });
    const kubeconfig = await rig.file('kubeconfig', server.kubeconfig());
    const files = [`--key=${rig.path('key')}`, `--known-hosts=${rig.path('known_hosts')}`];
    const argv = ['--user=tunnel', ...files, `--ca=${rig.path('ca.crt')}`, `--kubeconfig=${kubeconfig}`];
    const { code, output, errors } = await host.run(argv);
    expect(code, errors + output).to.equal(0);
    expect(output)
      .to.match(/^worker-1 /m)
      .and.include('1 of 1 nodes are well');
    const behind = await host.run([...argv, `--bastion=b=127.0.0.1:${port}`]);
    expect(behind.code, behind.errors + behind.output).to.equal(0);
    expect(behind.output)
      .to.match(/^b +127\.0\.0\.1:\d+ +\d+ ms/m)
      .and.match(/^worker-1 +\S+ +ok /m);
  });

  it("tells of a cluster's nodes that cannot even be examined, and why", async () => {
    const server = await FakeApiServer.start();
    rig.onEnd(() => server.close());
    server.put({ metadata: { name: 'worker-1' }, status: { addresses: [] } });
    const kubeconfig = await rig.file('kubeconfig', server.kubeconfig());
    const argv = [
      `--key=${rig.path('key')}`,
      `--known-hosts=${rig.path('known_hosts')}`,
      `--kubeconfig=${kubeconfig}`,
    ];
    const none = await host.run(argv);
    expect(none.code, none.errors).to.equal(1);
    expect(none.output).to.match(/^worker-1 +- +- +- +- +- +-$/m);
    expect(none.output).to.match(/^worker-1: left out: it has no usable address of type InternalIP/m);
    expect(none.output).to.include('0 of 1 nodes are well');
    server.put({
      metadata: { name: 'worker-2', annotations: { 'tunnel-dialer/ssh-port': String(rig.ssh.spec.port) } },
      status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] },
    });
    const some = await host.run(['--user=tunnel', `--ca=${rig.path('ca.crt')}`, '--json', ...argv]);
    expect(some.code, some.errors).to.equal(1);
    const found = JSON.parse(some.output) as Finding[];
    expect(found.map(({ name, isWell }) => [name, isWell])).to.deep.equal([
      ['worker-2', true],
      ['worker-1', false],
    ]);
    expect(found[1]).to.not.have.any.keys('address', 'failed');
  });

  it('examines every node though others have troubles, and gives a hint for each', async () => {
    const { code, output } = await examine([
      spec('a'),
      spec('b', { port: 1 }),
      spec('c', { hostKey: `SHA256:${'A'.repeat(43)}` }),
    ]);
    expect(code).to.equal(1);
    expect(output).to.match(/^a .* ms$/m);
    expect(output).to.match(/^b +127\.0\.0\.1:1 +FAILED +- +- +- +-$/m);
    expect(output).to.match(/^c +\S+ +\d+ ms +FAILED +- +- +-$/m);
    expect(output).to.match(/^b: tcp: connect ECONNREFUSED.*\n {2}is the machine up.* port 1 open/m);
    expect(output).to.match(/^c: host key: .*SHA256:/m);
    expect(output).to.include('1 of 3 nodes are well');
  });

  const refused: [what: string, failed: string, problem: RegExp, act: (node: SshNode) => void][] = [
    ['that does not let us in', 'login', /refused to log in "tunnel"/, ({ faults }) => faults.rejectKey()],
    ['that forbids forwarding', 'forwarding', /PermitOpen/, ({ faults }) => faults.refuse({ reason: 1 })],
    [
      'whose kubelet is down',
      'kubelet',
      /Connection refused/,
      ({ faults }) => faults.refuse({ reason: 2, description: 'Connection refused' }),
    ],
  ];
  for (const [what, failed, problem, act] of refused) {
    it(`finds a node ${what}`, async () => {
      act(rig.ssh);
      const [finding] = await findings([spec('a')]);
      rig.ssh.faults.reset();
      expect(finding).to.include({ name: 'a', isWell: false, failed });
      expect(finding?.problem).to.match(problem);
    });
  }

  it('examines a bastion, and the nodes behind it', async () => {
    const { code, output, errors } = await examine([
      spec('a', { via: 'bastion' }),
      spec('b', { via: 'bastion', port: 1 }),
      spec('bastion', { bastion: true }),
    ]);
    expect(code, errors + output).to.equal(1);
    expect(output).to.match(/^a +\S+ +ok +ok +ok +\d+ ms +\d+ ms$/m);
    expect(output).to.match(/^b +\S+ +FAILED +- +- +- +-$/m);
    expect(output).to.match(/^bastion +\S+ +\d+ ms +ok +ok +\d+ ms +-$/m);
    expect(output).to.match(/^b: tcp: b \S+ cannot be reached through bastion: .*refused/m);
  });

  it('finds a kubelet that is not well, and one whose certificate is unknown', async () => {
    const [ill] = await findings([spec('a')], '--path=/livez');
    expect(ill).to.include({ failed: 'kubelet', problem: 'the kubelet answered /livez with 500' });
    const other = await rig.file('other.crt', createAuthority('x').certificate);
    const [unknown] = await findings([spec('a')], `--ca=${other}`);
    expect(unknown?.failed).to.equal('kubelet');
    expect(unknown?.hint).to.include('--ca takes the authority');
    const [unverified] = await findings([spec('a')], `--ca=${other}`, '--insecure-skip-tls-verify');
    expect(unverified?.isWell).to.equal(true);
  });

  it('finds what listens there but speaks no SSH', async () => {
    const silent = await rig.endpoint((socket) => void socket.end('hello\r\n'));
    const [finding] = await findings([spec('a', { port: silent.port })], '--timeout=5');
    expect(finding).to.include({ failed: 'host key' });
    expect(finding?.hint).to.include('is it sshd');
  });

  it('says in one line how it is used wrongly', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /one file of nodes is needed/],
      [['a', 'b'], /got 2 names/],
      [['--kubeconfig=x', 'a'], /got 1 names/],
      [['--context=x', 'a'], /--context belongs/],
      [['--bastion=b=192.0.2.1', 'a'], /--bastion belongs/],
      [['--bastion=192.0.2.1', '--kubeconfig=x'], /--bastion must be NAME=ADDRESS/],
      [['--bastion=b=192.0.2.1:ssh', '--kubeconfig=x'], /--bastion must be a whole number/],
      [['--key', rig.path('key'), '--kubeconfig=\/nonexistent'], /nonexistent/],
      [['--concurrency=0', 'x'], /--concurrency must be/],
      [['--nonsense', 'x'], /nonsense/],
      [['--cert=x', 'x'], /belong together/],
      [['--path=healthz', 'x'], /--path must begin/],
      [['--key', rig.path('key'), '/nonexistent'], /ENOENT/],
      [[await rig.file('none.yaml', '[]')], /file .*none\.yaml: there are no nodes in it/],
      [[await rig.file('n.yaml', '- { name: a, address: b }')], /nothing to log in with/],
      [['--key=/nonexistent', rig.path('n.yaml')], /--key: cannot read/],
      [
        [
          '--key',
          rig.path('key'),
          '--known-hosts',
          rig.path('known_hosts'),
          await rig.file('m.yaml', '- { name: a, address: "" }'),
        ],
        /nodes\[0\]\.address/,
      ],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(code, argv.join(' ')).to.equal(2);
      expect(errors)
        .to.match(said)
        .and.match(/^fleet-health: [^\n]*\n$/);
      expect(output).to.equal('');
    }
  });

  it('prints its help', async () => {
    expect(await host.run(['--help'])).to.deep.equal({ code: 0, output: HELP, errors: '' });
  });
});
