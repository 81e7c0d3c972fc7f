import { expect } from 'chai';
import type { TunnelError } from '../../lib/errors.js';
import {
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  EndpointError,
  HostKeyError,
  TransportError,
} from '../../lib/errors.js';
import { OpenRefusal, asTunnelError, connectFailure, openFailure } from '../../lib/ssh/failures.js';

const where = { node: 'node-1', host: '10.0.0.1', port: 10250 };
const at = { ...where, openChannels: 0 };

const refusal = (reason: number | undefined, description: string): OpenRefusal =>
  new OpenRefusal(description, reason);

describe('openFailure', () => {
  const endpointAnswers: [description: string, code: string][] = [
    ['Connection refused', 'ECONNREFUSED'],
    ['Connection timed out', 'ETIMEDOUT'],
    ['Operation timed out', 'ETIMEDOUT'],
    ['No route to host', 'EHOSTUNREACH'],
    ['Host is down', 'EHOSTUNREACH'],
    ['Host is unreachable', 'EHOSTUNREACH'],
    ['Network is unreachable', 'ENETUNREACH'],
    ['Network unreachable', 'ENETUNREACH'],
    ['Name or service not known', 'ENOTFOUND'],
    ['nodename nor servname provided, or not known', 'ENOTFOUND'],
    ['Name does not resolve', 'ENOTFOUND'],
    ['No address associated with hostname', 'ENOTFOUND'],
    ['Temporary failure in name resolution', 'EAI_AGAIN'],
    ['Permission denied', 'EACCES'],
    ['Operation not permitted', 'EACCES'],
    ['Connection reset by peer', 'ECONNRESET'],
    ['something that nobody has seen yet', 'ECONNREFUSED'],
    ['', 'ECONNREFUSED'],
  ];
  for (const [description, code] of endpointAnswers) {
    it(`takes ${JSON.stringify(description)} for the endpoint's ${code}`, () => {
      const cause = refusal(2, description);
      const error = openFailure(cause, at);
      expect(error)
        .to.be.an.instanceOf(EndpointError)
        .and.include({ code, ...where, cause });
      expect(error.message).to.include('node-1').and.include('10.0.0.1:10250');
    });
  }

  it('says that no reason was given rather than nothing', () => {
    expect(openFailure(refusal(2, ''), at).message).to.match(/: no reason given$/);
  });

  const refusals: [reason: number | undefined, description: string, code: string, advice: RegExp][] = [
    [1, 'open failed', 'ERR_TUNNEL_PROHIBITED', /AllowTcpForwarding.*PermitOpen.*permitopen/],
    [2, 'Too many open files', 'ERR_TUNNEL_RESOURCE', /open-file limit/],
    [3, 'unknown channel type', 'ERR_TUNNEL_PROHIBITED', /cannot forward TCP/],
    [4, 'open failed', 'ERR_TUNNEL_RESOURCE', /maxChannelsPerConnection/],
    [99, 'made up', 'ERR_TUNNEL_PROHIBITED', /refused a channel to 10\.0\.0\.1:10250/],
    [undefined, 'it was closed before it was open', 'ERR_TUNNEL_PROHIBITED', /refused a channel/],
  ];
  for (const [reason, description, code, advice] of refusals) {
    it(`takes reason ${String(reason)} with ${JSON.stringify(description)} for ${code}`, () => {
      const cause = refusal(reason, description);
      const error = openFailure(cause, at);
      expect(error)
        .to.be.an.instanceOf(ChannelRefusedError)
        .and.include({ code, ...where, cause });
      expect(error.message).to.match(advice).and.include('node-1');
    });
  }

  it('takes a failure at once for want of a route, unless so many channels are open that it is for want of files', () => {
    const cause = refusal(2, 'open failed');
    const few = openFailure(cause, { ...at, openChannels: 3 });
    expect(few)
      .to.be.an.instanceOf(EndpointError)
      .and.include({ code: 'ENETUNREACH', ...where, cause });
    const many = openFailure(cause, { ...at, openChannels: 1000 });
    expect(many)
      .to.be.an.instanceOf(ChannelRefusedError)
      .and.include({ code: 'ERR_TUNNEL_RESOURCE', ...where, cause });
  });

  it('makes what the node says harmless for a terminal', () => {
    const { message } = openFailure(refusal(2, 'Connection\u001b[2J refused\r\n\u202e\u2028now'), at);
    expect(message)
      .to.match(/^[ -~]*$/)
      .and.include('refused');
  });

  it('cuts what the node says to a length that a person reads', () => {
    expect(openFailure(refusal(1, 'x'.repeat(100_000)), at).message.length).to.be.below(600);
  });
});

describe('connectFailure', () => {
  const attempt = {
    node: 'node-1',
    address: '10.0.0.11',
    port: 22,
    username: 'tunnel',
    tried: ['publickey (ssh-ed25519 SHA256:abc)'],
    accepted: ['publickey', 'password'],
    identified: false,
  };
  const failure = (message: string, more: object = {}): TunnelError =>
    connectFailure(Object.assign(new Error(message), more), attempt);

  it('names the methods tried and accepted when the node refuses to log us in', () => {
    const error = failure('All configured authentication methods failed', { level: 'client-authentication' });
    expect(error).to.be.an.instanceOf(AuthenticationError);
    expect(error).to.include({ code: 'ERR_TUNNEL_AUTH', node: 'node-1' });
    expect(error).to.have.property('methods').that.deep.equals(attempt.tried);
    expect(error.message)
      .to.include('publickey (ssh-ed25519 SHA256:abc)')
      .and.include('accepts publickey, password')
      .and.include('"tunnel"')
      .and.include('authorized_keys');
  });

  it('takes a login without any key to offer for a matter that we can mend', () => {
    const level = { level: 'client-authentication' };
    for (const tried of [[], ['agent (no keys)'], ['agent (out of reach: ENOENT)']]) {
      const error = connectFailure(Object.assign(new Error('failed'), level), {
        ...attempt,
        tried,
        accepted: [],
      });
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message)
        .to.include('no key to offer')
        .and.include(tried[0] ?? 'nothing');
    }
    const tried = ['agent (2 keys)'];
    const refused = connectFailure(Object.assign(new Error('failed'), level), { ...attempt, tried });
    expect(refused).to.be.an.instanceOf(AuthenticationError);
  });

  it('takes a node without a host key of a known type for one with another key', () => {
    const error = failure('Handshake failed: no matching host key format', { level: 'handshake' });
    expect(error)
      .to.be.an.instanceOf(HostKeyError)
      .and.include({ reason: 'mismatch', fingerprint: undefined });
  });

  const losses: [message: string, more: object, said: RegExp][] = [
    [
      'Handshake failed: no matching key exchange algorithm',
      { level: 'handshake' },
      /no algorithm in common/,
    ],
    ['Connection lost before handshake', { level: 'protocol' }, /MaxStartups/],
    ['read ECONNRESET', { code: 'ECONNRESET', level: 'client-socket' }, /MaxStartups/],
    ['write EPIPE', { code: 'EPIPE', level: 'client-socket' }, /MaxStartups/],
    ['Invalid identification string', {}, /does not speak SSH/],
    ['Bad packet length', { level: 'protocol' }, /does not speak SSH/],
    ['Protocol version not supported', {}, /does not speak SSH/],
    ['Too many authentication failures', { code: 2 }, /disconnected: Too many/],
    ['connect ECONNREFUSED 10.0.0.11:22', { code: 'ECONNREFUSED', level: 'client-socket' }, /ECONNREFUSED/],
    ['getaddrinfo ENOTFOUND node-1', { code: 'ENOTFOUND', level: 'client-socket' }, /ENOTFOUND/],
  ];
  for (const [message, more, said] of losses) {
    it(`takes ${JSON.stringify(message)} for a connection that could not be made`, () => {
      const error = failure(message, more);
      expect(error)
        .to.be.an.instanceOf(TransportError)
        .and.include({ code: 'ERR_TUNNEL_LOST', node: 'node-1' });
      expect(error.message).to.match(said).and.include('node-1 (10.0.0.11:22)');
      expect(error.cause).to.include({ message });
    });
  }

  it('names every address tried of a host that has several', () => {
    const tried = ['connect ECONNREFUSED ::1:22', 'connect ECONNREFUSED 127.0.0.1:22'].map(
      (text) => new Error(text),
    );
    // As node:net has it when it has tried several addresses: no message of its own.
    const cause = Object.assign(new AggregateError(tried), { code: 'ECONNREFUSED', level: 'client-socket' });
    expect(connectFailure(cause, attempt).message).to.include('ECONNREFUSED');
  });

  it('does not ask for MaxStartups when the node is cut off later', () => {
    const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', level: 'client-socket' });
    const { message } = connectFailure(cause, { ...attempt, identified: true });
    expect(message).to.include('ECONNRESET').and.not.include('MaxStartups');
  });

  it('makes what the node says harmless for a terminal', () => {
    expect(failure('\u001b]0;title\u0007 go away', { code: 11 }).message).to.match(/^[ -~]*$/);
    const error = connectFailure(Object.assign(new Error('x'), { level: 'client-authentication' }), {
      ...attempt,
      accepted: ['\u001b[31mred'],
    });
    expect(error.message).to.match(/^[ -~]*$/);
  });
});

describe('asTunnelError', () => {
  it('makes an error of ours of whatever was thrown', () => {
    const ours = new ClosedError('');
    expect(asTunnelError(ours, 'node-1')).to.equal(ours);
    const thrown = new Error('EACCES: known_hosts');
    const wrapped = asTunnelError(thrown, 'node-1');
    expect(wrapped).to.be.an.instanceOf(TransportError).and.include({ node: 'node-1', cause: thrown });
    expect(wrapped.message).to.include('EACCES: known_hosts').and.include('node-1');
    expect(asTunnelError('text', 'node-1').message).to.include('text');
    expect(asTunnelError(undefined, 'node-1')).to.be.an.instanceOf(TransportError);
  });
});
