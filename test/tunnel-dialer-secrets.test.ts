import { expect } from 'chai';
import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import ssh2 from 'ssh2';
import { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab } from './support/dialer.js';
import { runDialerProgram } from './support/run-dialer-program.js';

const passphrase = 'correct horse battery staple';
const wrongPassphrase = 'wrong donkey battery staple';
const data = 'what-goes-through-the-tunnel';

/** The lines of a PEM text that are not the same for every key. */
const linesOf = (pem: string): string[] =>
  pem.split('\n').filter((line) => /^[A-Za-z0-9+/=]{8,}$/.test(line));

describe('TunnelDialer: secrets', () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(async () => {
    await lab.end();
  });

  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase },
  });
  const parsed = ssh2.utils.parseKey(privateKey, passphrase) as ssh2.ParsedKey;
  const decrypted = parsed.getPrivatePEM();
  const authorizedKey = `${parsed.type} ${parsed.getPublicSSH().toString('base64')}`;
  const scalar = Buffer.from(linesOf(decrypted).join(''), 'base64');

  /** Everything of the key that must not be seen: the text given, what is in it, and that in other clothes. */
  const secrets = [
    ...linesOf(privateKey),
    ...linesOf(decrypted),
    scalar.subarray(7, 39).toString('hex'),
    scalar.subarray(7, 39).toString('base64').slice(0, 40),
    passphrase,
    wrongPassphrase,
    data,
  ];

  function expectNone(text: string): void {
    const found = secrets.filter((secret) => text.includes(secret));
    expect(found).to.deep.equal([]);
    // As util.inspect shows bytes.
    const bytes = [...scalar.subarray(7, 15)].map((byte) => byte.toString(16).padStart(2, '0'));
    expect(text).to.not.include(bytes.join(' '));
    expect(text).to.not.include([...scalar.subarray(7, 12)].join(', '));
  }

  it('are in nothing that a process prints, whatever it prints, with DEBUG=* and in success and failure', async function () {
    this.timeout(60_000);
    const node = await lab.node({ authorizedKeys: [authorizedKey] });
    const endpoint = await lab.endpoint();
    const outcome = await runDialerProgram(
      {
        scenario: 'printEverything',
        options: {
          nodes: [node.spec],
          ssh: { username: 'tunnel', privateKey, passphrase },
          reconnect: { minMs: 60_000, maxMs: 60_000 },
        },
        port: endpoint.port,
        extra: { data, wrongPassphrase, brokenKey: privateKey.replace(/\n[^\n]{8}/, '\n') },
      },
      { DEBUG: '*', DEBUG_DEPTH: '10' },
      50_000,
    );
    expect(outcome, outcome.output.slice(-2000)).to.include({ exitCode: 0, result: 'everything' });
    // It has printed what it should: the debug output of our own parts, errors of several classes, the dialer.
    expect(outcome.output)
      .to.include('tunnel-dialer:ssh')
      .and.include('tunnel-dialer:pool')
      .and.include('EndpointError')
      .and.include('AuthenticationError')
      .and.include('HostKeyError')
      .and.include('InvalidOptionError')
      .and.include('TunnelDialer');
    expectNone(outcome.output);
  });

  it('are not in util.inspect of a dialer, whatever is asked of it, or in its status', async () => {
    const node = await lab.node({ authorizedKeys: [authorizedKey] });
    const dialer = lab.dialer([node], { ssh: { username: 'tunnel', privateKey, passphrase } });
    await dialer.ready();
    const shown = inspect(dialer, { depth: Infinity, showHidden: true, getters: true });
    expect(shown).to.include('TunnelDialer');
    expectNone(shown);
    expectNone(JSON.stringify(dialer));
    expectNone(JSON.stringify(dialer.status()));
    expectNone(JSON.stringify(Object.getOwnPropertyDescriptors(dialer)));
  });

  it('are not in what the constructor throws', () => {
    const specs = [{ name: 'a', address: 'a' }];
    const wrong: object[] = [
      { username: 'x', privateKey },
      { username: 'x', privateKey, passphrase: wrongPassphrase },
      { username: 'x', privateKey: privateKey.replace(/\n[^\n]{8}/, '\n'), passphrase },
      { username: 'x', privateKey: [privateKey], passphrase },
      { username: privateKey, privateKey, passphrase },
      { username: 'x', passphrase },
      { username: 'x', agent: privateKey, privateKey, passphrase, hostKeys: privateKey },
      { username: 'x', privateKey: passphrase, passphrase: privateKey },
    ];
    for (const ssh of wrong) {
      try {
        new TunnelDialer({ nodes: specs, ssh: ssh as never });
        expect.fail('accepted');
      } catch (error) {
        expectNone(inspect(error, { depth: Infinity, showHidden: true }));
      }
    }
  });

  it('are not in what the constructor throws when the key stands in the place of something that may be shown', () => {
    const { privateKey: plain } = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    // What comes before is the same for every Ed25519 key (RFC 8410 §7).
    const seed = (linesOf(plain)[0] ?? '').slice(22);
    const { hostKeys } = {
      hostKeys: { keyTypes: () => undefined, verify: () => ({ verdict: 'accepted' as const }) },
    };
    const ssh = { username: 'x', privateKey: plain, hostKeys };
    const wrong: (() => unknown)[] = [
      () => new TunnelDialer({ nodes: [], ssh: { ...ssh, username: plain } }),
      () => new TunnelDialer({ nodes: [{ name: plain, address: 'a' }], ssh }),
      () => new TunnelDialer({ nodes: [{ name: 'a', address: plain }], ssh }),
      () => new TunnelDialer({ nodes: [{ name: 'a', address: 'a', username: plain }], ssh }),
      () => new TunnelDialer({ nodes: [{ name: 'a', address: 'a', hostKey: plain }], ssh }),
      () =>
        new TunnelDialer({
          nodes: [],
          ssh: { ...ssh, agent: plain, privateKey: undefined },
          onMiss: plain as never,
        }),
    ];
    for (const construct of wrong) {
      try {
        construct();
        expect.fail('accepted');
      } catch (error) {
        const shown = inspect(error, { depth: Infinity, showHidden: true });
        expect(shown).to.not.include(seed.slice(0, 6));
        expect(shown).to.include('InvalidOptionError');
      }
    }
  });
});
