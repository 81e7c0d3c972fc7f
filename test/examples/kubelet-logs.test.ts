import { expect } from 'chai';
import { createAuthority } from '../../lib/testing/certificates.js';
import { HELP } from '../../examples/support/arguments.js';
import type { Outcome } from './command-host.js';
import { CommandHost, PASSPHRASE, Rig, TOKEN } from './rig.js';

describe('examples: kubelet-logs', () => {
  let rig: Rig;
  let host: CommandHost;
  before(async () => {
    rig = await Rig.start();
    host = new CommandHost();
    for (const number of [1, 2, 3, 4, 5])
      rig.log.print(`line ${number}`, { time: new Date(Date.UTC(2026, 0, number)) });
  });
  after(async () => {
    await host.end();
    await rig.end();
  });

  const run = (argv: string[], environment?: Record<string, string>): Promise<Outcome> =>
    host.run(argv, environment);
  const lines = (...numbers: number[]): string => numbers.map((number) => `line ${number}\n`).join('');

  it('prints a log', async () => {
    expect(await run(rig.argv())).to.deep.equal({ code: 0, output: lines(1, 2, 3, 4, 5), errors: '' });
  });

  it('asks for what the options say', async () => {
    expect((await run(rig.argv({ tail: '2' }))).output).to.equal(lines(4, 5));
    expect((await run(rig.argv({ tail: 'all' }))).output).to.equal(lines(1, 2, 3, 4, 5));
    expect((await run(rig.argv({ tail: '1' }, '-t', 'web', 'app'))).output).to.equal(
      '2026-01-05T00:00:00.000000000Z line 5\n',
    );
    expect((await run(rig.argv({ since: '1s' }))).output).to.equal('');
  });

  it('logs in with a token', async () => {
    const argv = rig.argv({
      cert: undefined,
      'client-key': undefined,
      'token-file': rig.path('token'),
      tail: '1',
    });
    expect(await run(argv)).to.include({ code: 0, output: lines(5) });
  });

  it('takes options from the environment, which those on the command line override', async () => {
    const { address, port } = rig.ssh.spec;
    const environment = {
      KUBELET_LOGS_NODE: `${address}:${port}`,
      KUBELET_LOGS_KNOWN_HOSTS: rig.path('known_hosts'),
      KUBELET_LOGS_TAIL: '4',
    };
    const argv = rig.argv({ node: undefined, 'known-hosts': undefined, tail: '1' });
    expect(await run(argv, environment)).to.include({ code: 0, output: lines(5) });
  });

  it('takes the passphrase of a key from the environment', async () => {
    const argv = rig.argv({ key: rig.path('encrypted-key'), tail: '1' });
    expect(await run(argv, { KUBELET_LOGS_PASSPHRASE: PASSPHRASE })).to.include({
      code: 0,
      output: lines(5),
    });
    const { code, errors } = await run(argv, { KUBELET_LOGS_PASSPHRASE: 'wrong but secret too' });
    expect(code).to.equal(2);
    expect(errors)
      .to.match(/^kubelet-logs: KUBELET_LOGS_PASSPHRASE .*\n$/)
      .and.not.include('secret');
  });

  it("knows the node by its key's fingerprint", async () => {
    const argv = rig.argv({ 'known-hosts': undefined, 'host-key': rig.ssh.hostKey.fingerprint, tail: '1' });
    expect(await run(argv)).to.include({ code: 0, output: lines(5) });
  });

  it('finds the kubelet at the address that the node knows it by', async () => {
    const argv = rig.argv({ 'self-address': '127.0.0.1', 'tls-server-name': 'node-1', tail: '1' });
    expect(await run(argv)).to.include({ code: 0, output: lines(5) });
  });

  it('is loud when the kubelet is not verified', async () => {
    const { code, errors } = await run(
      rig.argv({ ca: undefined }, '--insecure-skip-tls-verify', 'web', 'app'),
    );
    expect(code).to.equal(0);
    expect(errors).to.match(/^WARNING: the kubelet is not verified/);
  });

  it('tells what happens with --verbose, and no secret', async () => {
    const argv = rig.argv({ 'token-file': rig.path('token') }, '--verbose', 'web', 'app');
    const { errors } = await run(argv);
    expect(errors).to.include(`host key ${rig.ssh.hostKey.fingerprint} is accepted`);
    expect(errors).to.match(/dialled 127\.0\.0\.1:10250 through \S+ in [\d.]+ ms/);
    expect(errors).to.include("the kubelet's certificate is verified\n# the kubelet answers 200");
    expect(errors).not.to.include(TOKEN).and.not.include('PRIVATE');
  });

  const failures: Record<string, [() => string[] | Promise<string[]>, number, RegExp]> = {
    'an unknown host key, with the line to add': [
      async () =>
        rig.argv({ 'known-hosts': await rig.file('others', `elsewhere ${rig.ssh.hostKey.publicKey}\n`) }),
      1,
      /unknown host key ssh-ed25519 SHA256:.* add this line to \S+others: \[127\.0\.0\.1\]:\d+ ssh-ed25519 AAAA/,
    ],
    'another host key than the one on record': [
      () => rig.argv({ 'known-hosts': undefined, 'host-key': `SHA256:${'A'.repeat(43)}` }),
      1,
      /presented another host key than the one on record.*SHA256:A{43}/,
    ],
    'a user who may not log in': [
      () => rig.argv({ user: 'root' }),
      1,
      /refused to log in "root".*authorized_keys/,
    ],
    'no sshd': [
      () => rig.argv({ node: '127.0.0.1:1' }),
      1,
      /127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/,
    ],
    'no kubelet': [
      () => rig.argv({ 'kubelet-port': '1' }),
      1,
      /Connection refused; is the kubelet up\?.*--kubelet-port/,
    ],
    'no identity (401)': [
      () => rig.argv({ cert: undefined, 'client-key': undefined }),
      1,
      /the kubelet answered 401: Unauthorized; identify yourself: --cert/,
    ],
    'a pod that is elsewhere (404)': [
      () => rig.argv({}, 'nginx', 'app'),
      1,
      /the kubelet answered 404: pod "nginx" does not exist; does the pod run on this node/,
    ],
    'a container that is not in the pod (404)': [
      () => rig.argv({}, 'web', 'sidecar'),
      1,
      /answered 404: container "sidecar" not found in pod "web"/,
    ],
    'a kubelet of another authority': [
      async () => rig.argv({ ca: await rig.file('other.crt', createAuthority('other').certificate) }),
      1,
      /the kubelet's certificate is refused \(.*\); --ca takes its authority/,
    ],
    'a certificate for other names': [
      () => rig.argv({ 'tls-server-name': 'node-2' }),
      1,
      /the kubelet's certificate is refused .*DNS:node-1 .*\); --tls-server-name takes one/,
    ],
    'something that speaks no TLS': [
      () => rig.argv({ 'kubelet-port': `${rig.ssh.spec.port}` }),
      1,
      /there is no TLS with the kubelet \(wrong version number\); is it a kubelet/,
    ],
    'a file that is not there': [
      () => rig.argv({ cert: '/nowhere/x' }),
      2,
      /--cert: cannot read \/nowhere\/x \(ENOENT\)/,
    ],
    'known hosts that are not there': [
      () => rig.argv({ 'known-hosts': '/nowhere/x' }),
      2,
      /--known-hosts cannot read "\/nowhere\/x" \(ENOENT\)/,
    ],
    'an encrypted key without its passphrase': [
      () => rig.argv({ key: rig.path('encrypted-key') }),
      2,
      /KUBELET_LOGS_PASSPHRASE /,
    ],
    'a key that is none': [() => rig.argv({ key: rig.path('ca.crt') }), 2, /--key is not a private key/],
    'a certificate that is none': [() => rig.argv({ ca: rig.path('key') }), 2, /--ca cannot be used/],
    'a certificate without its key': [
      () => rig.argv({ 'client-key': undefined }),
      2,
      /--cert and --client-key belong together/,
    ],
    'nothing to log in with': [() => rig.argv({ key: undefined }), 2, /--key FILE, or start ssh-agent/],
    'an agent that is not there': [
      () => ['SSH_AUTH_SOCK=/nowhere/agent', ...rig.argv({ key: undefined })],
      1,
      /no key to offer: agent \(out of reach/,
    ],
    'no node': [() => rig.argv({ node: undefined }), 2, /--node is missing.*--help/],
    'a name with --demo': [() => ['--demo', 'web'], 2, /--demo has a pod of its own: give no names/],
    'no container': [() => rig.argv({}, 'web'), 2, /the pod and the container are needed/],
    'a name too many': [() => rig.argv({}, 'web', 'app', 'x'), 2, /the pod and the container are needed/],
    'a name that leads elsewhere': [
      () => rig.argv({}, '..', 'app'),
      2,
      /the pod must be a name of Kubernetes .*, got "\.\."/,
    ],
    'an unknown option': [
      () => rig.argv({}, '--frobnicate'),
      2,
      /Unknown option '--frobnicate' \(--help shows how\)/,
    ],
    'an option without its value': [() => ['--node'], 2, /'--node <value>' argument missing/],
    'two ways to know the node': [() => rig.argv({ 'host-key': 'SHA256:x' }), 2, /exclude each other/],
    'a wrong port': [
      () => rig.argv({ 'kubelet-port': '65536' }),
      2,
      /--kubelet-port must be a whole number from 1 to 65535/,
    ],
    'a wrong node': [
      () => rig.argv({ node: 'a b' }),
      2,
      /--node must be a host name or IP address, got "a b"/,
    ],
    "a wrong node's port": [() => rig.argv({ node: 'a:b' }), 2, /the port of --node must be a whole number/],
    'a wrong number of lines': [() => rig.argv({ tail: 'some' }), 2, /--tail must be a whole number/],
    'a wrong time': [() => rig.argv({ since: 'yesterday' }), 2, /--since must be like 90s.*"yesterday"/],
    'a time that is none': [
      () => rig.argv({ since: '2026-02-31T12:00' }),
      2,
      /--since must be a time as in RFC 3339.*"2026-02-31T12:00"/,
    ],
    'no seconds at all': [() => rig.argv({ since: '0s' }), 2, /--since must be .*1.*, got 0/],
    'an empty option': [() => rig.argv({ user: '' }), 2, /--user is empty/],
  };
  for (const [what, [argv, code, message]] of Object.entries(failures)) {
    it(`says in one line what is wrong: ${what}`, async () => {
      const given = await argv();
      const agent =
        given[0]?.startsWith('SSH_AUTH_SOCK=') === true ? given.shift()?.split('=')[1] : undefined;
      const outcome = await run(given, agent === undefined ? {} : { SSH_AUTH_SOCK: agent });
      expect(outcome).to.include({ code, output: '' });
      expect(outcome.errors).to.match(/^kubelet-logs: .*\n$/);
      expect(outcome.errors).to.match(message);
    });
  }

  it('explains its options within 100 columns, with two examples', async () => {
    const { code, output } = await run(['-h']);
    expect(code).to.equal(0);
    expect(output).to.equal(HELP);
    expect(HELP.split('\n').filter((line) => line.length > 100)).to.be.empty;
    expect(HELP.match(/^ {4}kubelet-logs --node/gm)).to.have.length(2);
  });
});
