import { expect } from 'chai';
import { createPrivateKey } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { createAuthority } from '../../lib/testing/certificates.js';
import type { Dialer } from '../../lib/index.js';
import { InvalidOptionError } from '../../lib/index.js';
import { httpAgent, httpsAgent } from '../../lib/http/index.js';

const dialer: Dialer = {
  dial: () => Promise.reject(new Error('not in this test')),
  close: () => Promise.resolve(),
  destroy: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
const SECRET = 'a secret that must not be shown';

describe('http: options', () => {
  for (const [name, make] of Object.entries({ httpAgent, httpsAgent })) {
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
      for (const wrong of [undefined, null, {}, 'dialer', () => undefined]) {
        expect(refused(wrong)).to.include({ option: 'dialer', code: 'ERR_TUNNEL_INVALID_OPTION' });
      }
    });

    it(`${name} names the option that is wrong`, () => {
      const wrong: Record<string, unknown[]> = {
        node: ['', 7, {}],
        keepAlive: ['yes', 1],
        keepAliveMsecs: [-1, '5'],
        maxSockets: [0, -1, 1.5, '3', NaN],
        maxTotalSockets: [0, 'many'],
        maxFreeSockets: [0, {}],
        scheduling: ['random'],
        timeout: [-1, '1s', 2 ** 31],
        socketPath: ['/run/x.sock'],
        proxyEnv: [{}],
      };
      for (const [option, values] of Object.entries(wrong)) {
        for (const value of values)
          expect(refused(dialer, { [option]: value }), option).to.include({ option });
      }
      for (const options of [null, 5, []]) expect(refused(dialer, options)).to.include({ option: 'options' });
    });

    it(`${name} takes an option of its own that is misspelt for no option of Node's`, () => {
      expect(refused(dialer, { nod: 'node-1' }).message).to.equal(
        'nod is not a known option; did you mean node?',
      );
      expect(refused(dialer, { tlsHandshakeTimeout: 5 }).option).to.equal('tlsHandshakeTimeout');
      expect(make(dialer, { noDelay: true, localPort: 0, host: 'a' })).to.be.instanceOf(http.Agent);
    });

    it(`${name} takes no misspelt option of Node's, nor refuses one that it does not know`, () => {
      expect(refused(dialer, { minVerson: 'TLSv1.3' }).message).to.equal(
        'minVerson is not a known option; did you mean minVersion?',
      );
      for (const options of [{ minVersion: 'TLSv1.3' }, { ofALaterNode: true }])
        expect(() => (make as (...args: unknown[]) => unknown)(dialer, options)).not.to.throw();
    });

    it(`${name} takes undefined for every option that it checks`, () => {
      const options = { node: undefined, keepAlive: undefined, maxSockets: undefined, timeout: undefined };
      expect(make(dialer, options)).to.have.property('keepAlive', true);
    });
  }

  it('make agents of Node that keep connections alive unless told otherwise', () => {
    expect(httpAgent(dialer)).to.be.instanceOf(http.Agent).with.property('keepAlive', true);
    expect(httpsAgent(dialer)).to.be.instanceOf(https.Agent).with.property('keepAlive', true);
    expect(httpAgent(dialer, { keepAlive: false })).to.have.property('keepAlive', false);
    const limits = { maxSockets: 5, maxFreeSockets: 2, maxTotalSockets: 9 };
    expect(httpsAgent(dialer, { ...limits, maxTotalSockets: Infinity })).to.include({
      ...limits,
      maxTotalSockets: Infinity,
    });
  });

  it('name the TLS option that is wrong, and show no secret', () => {
    const authority = createAuthority('ca');
    const { certificate } = authority;
    const own = authority.issue({ commonName: 'client' });
    const encrypted = createEncrypted(own.privateKey);
    const wrong: [string, https.AgentOptions][] = [
      ['ca', { ca: '/etc/kubernetes/pki/ca.crt' }],
      ['cert', { cert: './client.crt' }],
      ['key', { key: 'C:\\client.key' }],
      ['ca', { ca: 'no certificate' }],
      ['ca', { ca: [certificate, 'no certificate'] }],
      ['ca', { ca: 5 as unknown as string }],
      ['cert', { cert: 'no certificate' }],
      ['key', { key: SECRET }],
      ['key', { key: encrypted }],
      ['key', { key: encrypted, passphrase: SECRET }],
      ['key', { key: own.privateKey, passphrase: { SECRET } as unknown as string }],
      ['pfx', { pfx: SECRET }],
      ['crl', { crl: 'no list' }],
      ['options', { cert: own.certificate, key: authority.issue({ commonName: 'another' }).privateKey }],
      ['options', { minVersion: 'TLSv9' as 'TLSv1.3' }],
      ['rejectUnauthorized', { rejectUnauthorized: 0 as unknown as boolean }],
      ['checkServerIdentity', { checkServerIdentity: true as never }],
      ['servername', { servername: 5 as unknown as string }],
      ['tlsHandshakeTimeoutMs', { tlsHandshakeTimeoutMs: 0 } as https.AgentOptions],
    ];
    for (const [option, options] of wrong) {
      const error = thrown(() => httpsAgent(dialer, options));
      expect(error, option).to.be.instanceOf(InvalidOptionError).with.property('option', option);
      expect(`${String(error)} ${String((error as Error).cause)}`).not.to.include(SECRET);
    }
  });

  it('take certificates as text, as Buffer and in lists', () => {
    const authority = createAuthority('ca');
    const { certificate } = authority;
    const { certificate: cert, privateKey } = authority.issue({ commonName: 'client' });
    httpsAgent(dialer, { ca: certificate, cert, key: privateKey });
    httpsAgent(dialer, {
      ca: [Buffer.from(certificate)],
      cert: Buffer.from(cert),
      key: Buffer.from(privateKey),
    });
    httpsAgent(dialer, { ca: `# a comment\n${certificate}${certificate}`, servername: '' });
    httpsAgent(dialer, { key: createEncrypted(privateKey), cert, passphrase: SECRET.toUpperCase() });
  });
});

function createEncrypted(privateKey: string): string {
  return createPrivateKey(privateKey)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: SECRET.toUpperCase() })
    .toString();
}

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}
