import { expect } from 'chai';
import { InvalidOptionError } from '../../../lib/errors.js';
import { statusHandler, type ObservableDialer, type StatusHandlerOptions } from '../../../lib/http/index.js';
import { FakeDialer } from './fake-dialer.js';

describe('statusHandler: options', () => {
  const wrong: [string, unknown, string][] = [
    ['prefix', 'tunnels', 'prefix'],
    ['prefix', '/tunnels?x', 'prefix'],
    ['prefix', '//tunnels', 'prefix'],
    ['prefix', '/a b', 'prefix'],
    ['hosts', 'localhost', 'hosts'],
    ['hosts', ['tunnels.example.com', 'tunnels.example.com:9090'], 'hosts[1]'],
    ['hosts', ['https://tunnels.example.com'], 'hosts[0]'],
    ['hosts', [''], 'hosts[0]'],
    ['staleAfterMs', -1, 'staleAfterMs'],
    ['refreshMs', 0, 'refreshMs'],
    ['heartbeatMs', '15s', 'heartbeatMs'],
    ['maxStreams', 0, 'maxStreams'],
    ['metrics', {}, 'metrics'],
    ['metrics', null, 'metrics'],
    ['onError', true, 'onError'],
    ['staleAfter', 1, 'staleAfter'],
  ];
  for (const [name, value, path] of wrong) {
    it(`refuses ${name}: ${JSON.stringify(value)}`, () => {
      const options = { [name]: value } as StatusHandlerOptions;
      expect(() => statusHandler(new FakeDialer(), options))
        .to.throw(InvalidOptionError)
        .with.property('option', path);
    });
  }

  it('refuses what is no dialer', () => {
    for (const dialer of [undefined, null, {}, { status: () => ({}) }, 'dialer']) {
      expect(() => statusHandler(dialer as unknown as ObservableDialer))
        .to.throw(InvalidOptionError)
        .with.property('option', 'dialer');
    }
  });

  it('takes none, undefined ones, and an accessor for the content type', () => {
    class Registry {
      readonly #type = 'text/plain';

      get contentType(): string {
        return this.#type;
      }

      metrics(): Promise<string> {
        return Promise.resolve('');
      }
    }
    const dialer = new FakeDialer();
    statusHandler(dialer);
    statusHandler(dialer, { prefix: undefined, metrics: undefined });
    statusHandler(dialer, { prefix: '/', metrics: new Registry() });
    expect(dialer.watchers).to.equal(0);
  });
});
