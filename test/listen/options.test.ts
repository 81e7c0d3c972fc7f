import { expect } from 'chai';
import { inspect } from 'node:util';
import { InvalidOptionError, type Dialer } from '../../lib/index.js';
import { httpConnect, listen, socks5 } from '../../lib/listen/index.js';
import { Login } from '../../lib/listen/login.js';
import { rejection } from '../support/dialer.js';

/** It cannot be dialled with: nothing of it is used before the options are judged. */
const dialer = { dial: () => Promise.reject(new Error('not to be used')) } as unknown as Dialer;
const SECRET = 'a secret';

const openings = {
  listen: (options: object, from = dialer) => listen(from, options as { host: string; port: number }),
  socks5: (options: object, from = dialer) => socks5(from, options),
  httpConnect: (options: object, from = dialer) => httpConnect(from, options),
};
const endpoint = { host: '10.0.0.1', port: 1 };

describe('options of local listeners', () => {
  const wrong: [kind: keyof typeof openings, options: object, option: string][] = [
    ['listen', {}, 'host'],
    ['listen', { host: '10.0.0.1:80', port: 80 }, 'host'],
    ['listen', { host: '10.0.0.1', port: 0 }, 'port'],
    ['listen', { ...endpoint, via: '' }, 'via'],
    ['listen', { ...endpoint, node: 'node-1' }, 'node'],
    ['socks5', { node: 'node-1' }, 'node'],
    ['httpConnect', { node: 'node-1' }, 'node'],
    ['listen', { ...endpoint, at: { port: -1 } }, 'at.port'],
    ['listen', { ...endpoint, at: { prot: 1 } }, 'at.prot'],
    ['listen', { ...endpoint, at: 8080 }, 'at'],
    ['listen', { ...endpoint, at: { path: '' } }, 'at.path'],
    ['listen', { ...endpoint, at: { path: '/a\0b' } }, 'at.path'],
    ['listen', { ...endpoint, at: { path: '/a', port: 1 } }, 'at'],
    ['listen', { ...endpoint, username: 'x' }, 'username'],
    ['listen', { ...endpoint, maxConnections: 0 }, 'maxConnections'],
    ['listen', { ...endpoint, timeoutMs: 0 }, 'timeoutMs'],
    ['listen', { ...endpoint, onError: true }, 'onError'],
    ['socks5', { host: '10.0.0.1' }, 'host'],
    ['socks5', { username: 'x' }, 'password'],
    ['socks5', { password: SECRET }, 'username'],
    ['socks5', { username: 'x', password: SECRET.repeat(32) }, 'password'],
    ['socks5', { username: 'x', password: [SECRET] }, 'password'],
    ['socks5', { requestTimeoutMs: 0 }, 'requestTimeoutMs'],
    ['httpConnect', { username: 'a:b', password: SECRET }, 'username'],
    ['httpConnect', { maxHeadBytes: 1 }, 'maxHeadBytes'],
  ];
  for (const [kind, options, option] of wrong) {
    it(`${kind} refuses ${inspect(options, { breakLength: Infinity }).slice(0, 80)}`, async () => {
      const error = await rejection<InvalidOptionError>(openings[kind](options));
      expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', option);
      expect(inspect(error)).not.to.include(SECRET);
    });
  }

  it('say what the local side may be', async () => {
    const error = await rejection(openings.listen({ ...endpoint, at: '/run/tunnel.sock' }));
    expect(error.message).to.equal('at must be { host, port } or { path }, got "/run/tunnel.sock"');
  });

  for (const kind of ['socks5', 'httpConnect'] as const) {
    for (const host of [
      '0.0.0.0',
      '::',
      '[::]',
      '10.0.0.5',
      '192.168.1.1',
      'fd00::1',
      '::ffff:10.0.0.1',
      'my-host',
    ]) {
      it(`${kind} without a password does not listen on ${host}`, async () => {
        const error = await rejection<InvalidOptionError>(openings[kind]({ at: { host } }));
        expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', 'at.host');
        expect(error.message).to.include('insecureWithoutPassword');
      });
    }

    it(`${kind} listens there with a password, and when told that none is wanted`, async () => {
      for (const options of [{ username: 'x', password: SECRET }, { insecureWithoutPassword: true }]) {
        const listener = await openings[kind]({ at: { host: '0.0.0.0' }, ...options });
        expect(listener.address).to.include({ host: '0.0.0.0' });
        expect(listener.url).to.match(/:\/\/127\.0\.0\.1:\d+$/);
        expect(inspect(listener, { depth: 9, showHidden: true })).not.to.include(SECRET);
        await listener.close();
      }
    });

    it(`${kind} listens on every loopback address without a password`, async () => {
      for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'LOCALHOST']) {
        await (await openings[kind]({ at: { host } })).close();
      }
    });
  }

  it('a dialer is needed', async () => {
    for (const open of Object.values(openings)) {
      const error = await rejection<InvalidOptionError>(open(endpoint, {} as Dialer));
      expect(error).to.be.instanceOf(InvalidOptionError).with.property('option', 'dialer');
    }
  });
});

describe('the login of a proxy', () => {
  const accepts = (username: string, password: string): boolean =>
    new Login('user', 'pass').accepts(Buffer.from(username), Buffer.from(password));

  it('accepts the name and the password, and no other cut of the two', () => {
    expect(accepts('user', 'pass')).to.equal(true);
    const others = [
      ['userp', 'ass'],
      ['use', 'rpass'],
      ['user', ''],
      ['', 'userpass'],
      ['user', 'pass '],
      ['User', 'pass'],
    ];
    for (const [username = '', password = ''] of others) expect(accepts(username, password)).to.equal(false);
  });

  it('shows neither', () => {
    expect(inspect(new Login('user', 'pass'), { showHidden: true })).not.to.match(/user|pass/);
  });

  it('say what the node of a dial is called here', async () => {
    const error = await rejection(openings.listen({ ...endpoint, node: 'node-1' }));
    expect(error.message).to.equal('node is not a known option; here it is called via');
  });
});
