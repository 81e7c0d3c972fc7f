import { expect } from 'chai';
import {
  AllNodesFailedError,
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  InvalidOptionError,
  asError,
  isLasting,
  messageOf,
  NodeUnavailableError,
  NoRouteError,
  PoolExhaustedError,
  TransportError,
  TunnelError,
} from '../lib/errors.js';

const context = { node: 'node-1', host: '10.0.0.1', port: 10250, cause: new Error('the original') };
const retryAt = new Date(0);

const all: [name: string, code: string, error: TunnelError][] = [
  ['InvalidOptionError', 'ERR_TUNNEL_INVALID_OPTION', new InvalidOptionError('host', 'is wrong', context)],
  ['NoRouteError', 'ERR_TUNNEL_NO_ROUTE', new NoRouteError('what', context)],
  ['NodeUnavailableError', 'ERR_TUNNEL_NODE_UNAVAILABLE', new NodeUnavailableError('what', retryAt, context)],
  ['HostKeyError', 'ERR_TUNNEL_HOST_KEY', new HostKeyError('unknown', 'SHA256:x', 'what', context)],
  ['AuthenticationError', 'ERR_TUNNEL_AUTH', new AuthenticationError('what', ['publickey'], context)],
  [
    'ChannelRefusedError',
    'ERR_TUNNEL_RESOURCE',
    new ChannelRefusedError('ERR_TUNNEL_RESOURCE', 'what', context),
  ],
  ['EndpointError', 'ECONNREFUSED', new EndpointError('ECONNREFUSED', 'what', context)],
  ['TransportError', 'ERR_TUNNEL_LOST', new TransportError('ERR_TUNNEL_LOST', 'what', context)],
  ['DialTimeoutError', 'ETIMEDOUT', new DialTimeoutError('open', 'what', context)],
  ['PoolExhaustedError', 'ERR_TUNNEL_POOL_EXHAUSTED', new PoolExhaustedError('what', context)],
  ['ClosedError', 'ERR_TUNNEL_CLOSED', new ClosedError('what', context)],
];

describe('errors', () => {
  for (const [name, code, error] of all) {
    it(`${name} is a TunnelError with its name, its code, its context and its cause`, () => {
      expect(error).to.be.an.instanceOf(TunnelError).and.be.an.instanceOf(Error);
      expect(error).to.include({ name, code, ...context });
      expect(String(error)).to.match(new RegExp(`^${name}: (what|host is wrong)$`));
    });
  }

  it('carry no context that they do not have', () => {
    const bare = new ClosedError('what');
    expect([bare.node, bare.host, bare.port, bare.cause]).to.deep.equal([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(Object.keys(bare)).to.not.include('cause');
  });

  it('say what is special about them', () => {
    expect(new NodeUnavailableError('what', retryAt).retryAt).to.equal(retryAt);
    expect(new HostKeyError('revoked', 'SHA256:x', 'what')).to.include({
      reason: 'revoked',
      fingerprint: 'SHA256:x',
    });
    expect(new AuthenticationError('what', ['agent']).methods).to.deep.equal(['agent']);
    expect(new DialTimeoutError('queue', 'what').phase).to.equal('queue');
    expect(new InvalidOptionError('pool.maxQueue', 'is wrong').option).to.equal('pool.maxQueue');
  });

  it('of all nodes are an AggregateError that names each node and what was wrong with it', () => {
    const errors = [new ClosedError('first', { node: 'a' }), new NoRouteError('second')];
    const error = new AllNodesFailedError(errors, 'nobody could', { host: 'x', port: 1 });
    expect(error).to.be.an.instanceOf(AggregateError);
    expect(error).to.include({
      name: 'AllNodesFailedError',
      code: 'ERR_TUNNEL_ALL_NODES_FAILED',
      host: 'x',
      port: 1,
    });
    expect(error.errors).to.deep.equal(errors);
    expect(error.message).to.include('nobody could').and.include('a: first').and.include('second');
  });
});

describe('isLasting', () => {
  it('is true of what only a person can mend', () => {
    const lasting = all.filter(([, , error]) => isLasting(error)).map(([name]) => name);
    expect(lasting).to.deep.equal(['HostKeyError', 'AuthenticationError']);
  });
});

describe('messageOf', () => {
  it('is what an error says, or what was thrown in place of one', () => {
    const said = [new Error('it broke'), 'it broke', undefined, { toString: () => 'strange' }].map(messageOf);
    expect(said).to.deep.equal(['it broke', 'it broke', 'undefined', 'strange']);
  });
});

describe('asError', () => {
  it('is an error as it is, and an error that says what was thrown in place of one', () => {
    const error = new TypeError('it broke');
    expect(asError(error)).to.equal(error);
    expect(asError('it broke')).to.be.an.instanceOf(Error).with.property('message', 'it broke');
    expect(asError(undefined)).to.be.an.instanceOf(Error).with.property('message', 'undefined');
  });
});
