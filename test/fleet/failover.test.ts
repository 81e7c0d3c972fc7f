import { expect } from 'chai';
import {
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  InvalidOptionError,
  NodeUnavailableError,
  NoRouteError,
  PoolExhaustedError,
  TransportError,
  type TunnelError,
} from '../../lib/errors.js';
import { triesNextNode } from '../../lib/fleet/failover.js';

describe('triesNextNode', () => {
  const onward: [what: string, error: TunnelError, routes: string][] = [
    ['NodeUnavailableError', new NodeUnavailableError('', new Date()), 'node pod any'],
    ['AuthenticationError', new AuthenticationError('', []), 'node pod any'],
    ['TransportError', new TransportError('ERR_TUNNEL_LOST', ''), 'node pod any'],
    ['DialTimeoutError', new DialTimeoutError('connect', ''), 'node pod any'],
    ['ClosedError, of a node that was removed', new ClosedError(''), 'node pod any'],
    [
      'ChannelRefusedError for want of resources',
      new ChannelRefusedError('ERR_TUNNEL_RESOURCE', ''),
      'node pod any',
    ],
    ['HostKeyError', new HostKeyError('unknown', undefined, ''), 'pod any'],
    ['PoolExhaustedError', new PoolExhaustedError(''), 'any'],
    ['ChannelRefusedError by policy', new ChannelRefusedError('ERR_TUNNEL_PROHIBITED', ''), ''],
    ['EndpointError', new EndpointError('ECONNREFUSED', ''), ''],
    ['NoRouteError', new NoRouteError(''), ''],
    ['InvalidOptionError', new InvalidOptionError('port', ''), ''],
  ];
  for (const [what, error, routes] of onward) {
    it(`after ${what}: ${routes === '' ? 'on no route' : `on routes of kind ${routes}`}`, () => {
      const led = (['node', 'pod', 'any'] as const).filter((kind) => triesNextNode(error, kind));
      expect(led.join(' ')).to.equal(routes);
    });
  }
});
