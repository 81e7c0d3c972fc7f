import { expect } from 'chai';
import { apiserverParts, apiserverProxy } from '../../lib/apiserver/index.js';
import { InvalidOptionError, type Dialer } from '../../lib/index.js';

/** What JavaScript without types can give. */
type Make = (dialer: unknown, options?: unknown) => unknown;

describe('apiserver: options', () => {
  const dialer = { dial: () => Promise.reject(new Error('nothing is dialled')) } as unknown as Dialer;
  const upstream = { server: 'https://127.0.0.1:1' };
  const kubelet = { insecureSkipTLSVerify: true };
  const good = { upstream, kubelet };
  const makers = { apiserverProxy: apiserverProxy as Make, apiserverParts: apiserverParts as Make };

  for (const [name, make] of Object.entries(makers)) {
    it(`names the option of ${name} that is wrong, before anything is asked`, () => {
      const wrong: [unknown[], string][] = [
        [[], 'dialer'],
        [[good], 'dialer'],
        [[dialer], 'options'],
        [[dialer, {}], 'kubelet'],
        [[dialer, { kubelet }], 'upstream'],
        [[dialer, { ...good, kubelet: {} }], 'kubelet.certificateAuthority'],
        [[dialer, { ...good, kubelet: { ...kubelet, adressTypes: [] } }], 'kubelet.adressTypes'],
        [[dialer, { ...good, upstream: { server: '10.0.0.1:6443' } }], 'upstream.server'],
        [[dialer, { ...good, upstream: { ...upstream, tokenfile: 'x' } }], 'upstream.tokenfile'],
        // Taken for nothing, it would leave lookups to the proxy's own rights.
        [[dialer, { ...good, lookupAs: 'caller' }], 'lookupAs'],
        [[dialer, { ...good, lookupsAs: 'me' }], 'lookupsAs'],
        [[dialer, { ...good, lookupCacheMs: '5s' }], 'lookupCacheMs'],
        [[dialer, { ...good, maxNodes: 0 }], 'maxNodes'],
        [[dialer, { ...good, maxRequests: '600' }], 'maxRequests'],
        [[dialer, { ...good, maxLongRunning: 0 }], 'maxLongRunning'],
        [[dialer, { ...good, access: { authenticate: () => undefined } }], 'access'],
        [[dialer, { ...good, resolver: 'none' }], 'resolver'],
        [[dialer, { ...good, onAnswer: 'log' }], 'onAnswer'],
      ];
      for (const [[given, options], option] of wrong)
        expect(() => make(given, options), option)
          .to.throw(InvalidOptionError)
          .with.property('option', option);
    });

    it(`leaves ${name} what an option is not given for`, () => {
      const unsaid = { lookupsAs: undefined, maxRequests: undefined, access: undefined, resolver: undefined };
      expect(() => make(dialer, { ...good, ...unsaid })).not.to.throw();
    });
  }
});
