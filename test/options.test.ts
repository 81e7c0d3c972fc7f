import { expect } from 'chai';
import { inspect } from 'node:util';
import { InvalidOptionError } from '../lib/errors.js';
import { checkTunnelDialerOptions, type TunnelDialerOptions } from '../lib/options.js';
import type { HostKeyVerifier } from '../lib/ssh/host-keys/verifier.js';

const hostKeys: HostKeyVerifier = { keyTypes: () => undefined, verify: () => ({ verdict: 'accepted' }) };
const least = { nodes: [], ssh: { username: 'tunnel', hostKeys } };

/** The options with one of them set, whose path is such as `pool.maxQueue`. */
function set(path: string, value: unknown): TunnelDialerOptions {
  const [group = '', name] = path.split('.');
  const given = least as unknown as Record<string, object>;
  return { ...least, [group]: name === undefined ? value : { ...given[group], [name]: value } };
}

function refusal(options: unknown): InvalidOptionError {
  try {
    checkTunnelDialerOptions(options as TunnelDialerOptions);
  } catch (error) {
    expect(error).to.be.an.instanceOf(InvalidOptionError).and.include({ code: 'ERR_TUNNEL_INVALID_OPTION' });
    return error as InvalidOptionError;
  }
  throw new Error('accepted');
}

describe('checkTunnelDialerOptions', () => {
  it('fills in the defaults', () => {
    const { ssh, ...others } = checkTunnelDialerOptions(least);
    expect(ssh).to.include({ username: 'tunnel', hostKeys, installKeyIntervalMs: 300_000 });
    expect(others).to.deep.equal({
      nodes: [],
      onMiss: 'any-node',
      pool: {
        minConnections: 1,
        maxConnections: 4,
        maxChannelsPerConnection: 128,
        maxQueue: 1024,
        idleTimeoutMs: 60_000,
        maxConnectionAgeMs: undefined,
      },
      health: { keepaliveIntervalMs: 10_000, keepaliveCountMax: 2, probe: undefined },
      reconnect: { minMs: 250, maxMs: 30_000, stableMs: 10_000, maxHandshakes: 32, maxHandshakesPerNode: 4 },
      timeouts: { dialMs: 30_000, connectMs: 10_000, hedgeAfterMs: 1000, graceMs: 30_000 },
    });
  });

  it('takes what is given in place of the defaults, one by one', () => {
    const { pool, timeouts } = checkTunnelDialerOptions({
      ...least,
      pool: { maxQueue: 0, idleTimeoutMs: undefined },
      timeouts: { graceMs: 0 },
    });
    expect(pool).to.include({ maxQueue: 0, idleTimeoutMs: 60_000, maxConnections: 4 });
    expect(timeouts).to.deep.equal({ dialMs: 30_000, connectMs: 10_000, hedgeAfterMs: 1000, graceMs: 0 });
  });

  it('cannot be changed behind the back of the dialer', () => {
    const given = { ...least, pool: { maxQueue: 5 } };
    const checked = checkTunnelDialerOptions(given);
    given.pool.maxQueue = -1;
    expect(checked.pool.maxQueue).to.equal(5);
    for (const part of [checked, checked.pool, checked.ssh]) expect(Object.isFrozen(part)).to.equal(true);
  });

  const wrong: [path: string, value: unknown, said: RegExp][] = [
    ['ssh', undefined, /must be an object, got undefined/],
    ['ssh', 'tunnel', /must be an object/],
    ['ssh.username', undefined, /must be a non-empty string/],
    ['ssh.username', '', /must be a non-empty string/],
    ['ssh.username', 'a\nb', /without control characters/],
    ['ssh.hostKeys', 'SHA256:abc', /must be knownHosts\(…\)/],
    ['ssh.hostKeys', {}, /must be knownHosts\(…\)/],
    ['ssh.hostKeys', { verify: () => true }, /must be knownHosts\(…\)/],
    ['ssh.installKey', true, /must be a function, got true/],
    ['ssh.installKeyIntervalMs', 999, /from 1000/],
    ['onMiss', 'any', /must be 'any-node' or 'reject', got "any"/],
    ['pool', 5, /must be an object, got 5/],
    ['pool.minConnections', -1, /from 0 to 1000, got -1/],
    ['pool.maxConnections', 0, /from 1 to 1000, got 0/],
    ['pool.maxConnections', '4', /got "4"/],
    ['pool.maxConnections', 1.5, /got 1.5/],
    ['pool.maxConnections', Infinity, /got Infinity/],
    ['pool.maxChannelsPerConnection', NaN, /got NaN/],
    ['pool.maxQueue', -1, /from 0/],
    ['pool.idleTimeoutMs', 0, /from 1/],
    ['pool.idleTimeoutMs', 2 ** 31, /to 2147483647/],
    ['pool.maxConnectionAgeMs', 999, /from 1000/],
    ['health.keepaliveIntervalMs', 0, /from 1/],
    ['health.keepaliveCountMax', 0, /from 1/],
    ['reconnect.minMs', 0, /from 1/],
    ['reconnect.maxMs', null, /got null/],
    ['reconnect.stableMs', -1, /from 0/],
    ['reconnect.maxHandshakes', 0, /from 1/],
    ['reconnect.maxHandshakesPerNode', 0, /from 1/],
    ['timeouts.dialMs', 0, /from 1/],
    ['timeouts.connectMs', '10s', /got "10s"/],
    ['timeouts.graceMs', -1, /from 0/],
    ['timeouts.hedgeAfterMs', 0, /from 1/],
  ];
  for (const [path, value, said] of wrong) {
    it(`refuses ${path} as ${inspect(value)}`, () => {
      const error = refusal(set(path, value));
      expect(error.option).to.equal(path);
      expect(error.message)
        .to.match(said)
        .and.match(new RegExp(`^${path.replace('.', '\\.')} `));
    });
  }

  const contradictions: [TunnelDialerOptions, option: string, said: string][] = [
    [
      { ...least, pool: { minConnections: 5 } },
      'pool.minConnections',
      'must not exceed pool.maxConnections (4), got 5',
    ],
    [
      { ...least, reconnect: { minMs: 60_000 } },
      'reconnect.minMs',
      'must not exceed reconnect.maxMs (30000), got 60000',
    ],
  ];
  for (const [options, option, said] of contradictions) {
    it(`refuses ${option} that contradicts another`, () => {
      const error = refusal(options);
      expect(error.option).to.equal(option);
      expect(error.message).to.equal(`${option} ${said}`);
    });
  }

  const mistyped: [unknown, option: string, advice: RegExp][] = [
    [{ ...least, onmiss: 'reject' }, 'onmiss', /did you mean onMiss\?/],
    [set('pool.maxConnection', 4), 'pool.maxConnection', /did you mean pool\.maxConnections\?/],
    [set('ssh.privatekey', 'secret'), 'ssh.privatekey', /did you mean ssh\.privateKey\?/],
    [set('timeouts.dial', 5), 'timeouts.dial', /timeouts\.dialMs/],
  ];
  for (const [options, option, advice] of mistyped) {
    it(`refuses the unknown option ${option}, and says which was meant`, () => {
      const error = refusal(options);
      expect(error.option).to.equal(option);
      expect(error.message).to.match(advice).and.not.include('secret');
    });
  }

  for (const options of [undefined, null, 'options', []]) {
    it(`refuses ${JSON.stringify(options)} in place of options`, () => {
      expect(refusal(options).message).to.match(/^options must be an object/);
    });
  }

  it('passes secrets on without judging or showing them', () => {
    const ssh = { username: 'tunnel', privateKey: 'PRIVATE', passphrase: 'PASSPHRASE' };
    expect(checkTunnelDialerOptions({ nodes: [], ssh }).ssh).to.include(ssh);
    const { message, stack } = refusal({ nodes: [], ssh: { ...ssh, username: 7 } });
    expect(`${message}${String(stack)}`).to.not.match(/PRIVATE|PASSPHRASE/);
  });
});
