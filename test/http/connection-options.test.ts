import { expect } from 'chai';
import type { Dialer } from '../../lib/index.js';
import { InvalidOptionError } from '../../lib/index.js';
import { http2Connection, httpConnection, httpsConnection, undiciConnector } from '../../lib/http/index.js';

const dialer: Dialer = {
  dial: () => Promise.reject(new Error('not in this test')),
  close: () => Promise.resolve(),
  destroy: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
const SECRET = 'a secret that must not be shown';

const wrongOfAll: Record<string, unknown[]> = {
  node: ['', 7, {}],
  dialTimeoutMs: [0, -1, '5', 2 ** 31],
  signal: [new AbortController(), true],
  socketPath: ['/run/x.sock'],
};
const wrongOfTls: Record<string, unknown[]> = {
  tlsHandshakeTimeoutMs: [0, '1s'],
  rejectUnauthorized: ['no', 0],
  servername: [7],
  checkServerIdentity: ['none'],
  ca: ['no certificate', '/etc/ca.crt'],
  cert: ['no certificate'],
  tls: ['files', {}],
};
const wrongOfUndici = { allowH2: ['yes'], maxCachedSessions: [-1, '3'] };

const makers = {
  httpConnection: [httpConnection, wrongOfAll],
  httpsConnection: [httpsConnection, { ...wrongOfAll, ...wrongOfTls }],
  http2Connection: [http2Connection, { ...wrongOfAll, ...wrongOfTls }],
  undiciConnector: [undiciConnector, { ...wrongOfAll, ...wrongOfTls, ...wrongOfUndici }],
} as const;

describe('http: options of connections', () => {
  for (const [name, [make, wrong]] of Object.entries(makers)) {
    const refused = (...args: unknown[]): InvalidOptionError => {
      try {
        (make as (...args: unknown[]) => unknown)(...args);
      } catch (error) {
        expect(error).to.be.instanceOf(InvalidOptionError);
        return error as InvalidOptionError;
      }
      throw new Error(`${name} took ${JSON.stringify(args[1])}`);
    };

    it(`${name} wants something that can dial`, () => {
      for (const other of [undefined, null, {}, 'dialer'])
        expect(refused(other)).to.include({ option: 'dialer' });
    });

    it(`${name} names the option that is wrong`, () => {
      for (const [option, values] of Object.entries(wrong)) {
        for (const value of values)
          expect(refused(dialer, { [option]: value }), option).to.include({ option });
      }
      for (const options of [null, 5, []]) expect(refused(dialer, options)).to.include({ option: 'options' });
    });

    it(`${name} takes an option of its own that is misspelt for no option of Node's`, () => {
      expect(refused(dialer, { dialTimeout: 5 }).message).to.include('did you mean dialTimeoutMs?');
      expect(refused(dialer, { nod: 'node-1' }).message).to.include('did you mean node?');
    });

    it(`${name} takes no misspelt option of Node's, nor refuses one that it does not know`, () => {
      expect(refused(dialer, { minVerson: 'TLSv1.3' }).message).to.equal(
        'minVerson is not a known option; did you mean minVersion?',
      );
      for (const options of [{ minVersion: 'TLSv1.3' }, { ofALaterNode: true }])
        expect(() => (make as (...args: unknown[]) => unknown)(dialer, options)).not.to.throw();
    });

    it(`${name} takes what is undefined for not given`, () => {
      const options = Object.fromEntries(Object.keys(wrong).map((option) => [option, undefined]));
      expect((make as (...args: unknown[]) => unknown)(dialer, options)).to.be.a('function');
    });
  }

  it('show no secret when they are refused', () => {
    for (const options of [
      { key: SECRET },
      { passphrase: { SECRET } },
      { pfx: SECRET, passphrase: SECRET },
    ]) {
      try {
        httpsConnection(dialer, options as never);
      } catch (error) {
        expect((error as Error).message).to.not.include(SECRET);
      }
    }
  });
});
