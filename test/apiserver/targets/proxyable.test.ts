import { expect } from 'chai';
import { isProxyable, isProxyableHost } from '../../../lib/apiserver/targets/proxyable.js';

const global = [
  '1.2.3.4',
  '10.0.0.11',
  '10.244.1.7',
  '100.64.0.1',
  '126.255.255.255',
  '128.0.0.1',
  '172.16.0.1',
  '192.168.1.1',
  '223.255.255.255',
  '240.0.0.1',
  '2001:db8::1',
  '2001:DB8::1',
  'fd00::1',
  'fe7f::1',
  '::ffff:10.0.0.11',
  '::ffff:a00:b',
];

const notGlobal = {
  'nothing at all': [''],
  loopback: ['127.0.0.1', '127.1.2.3', '127.255.255.255', '::1', '0:0:0:0:0:0:0:1', '0000::0001'],
  'link-local': ['169.254.0.1', '169.254.169.254', 'fe80::1', 'FE80::1', 'febf::1', 'fec0::1'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff00::1', 'ff02::1'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '0:0:0:0:0:0:0:0'],
  broadcast: ['255.255.255.255'],
  'IPv4 in the form of IPv6': [
    '::ffff:127.0.0.1',
    '::FFFF:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:127.0.0.1',
    '0000:0000:0000:0000:0000:ffff:7f00:0001',
    '::ffff:0.0.0.0',
    '::ffff:169.254.169.254',
    '::ffff:224.0.0.1',
    '::ffff:255.255.255.255',
    '::127.0.0.1',
    '::10.0.0.1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::127.0.0.1',
  ],
  'an odd spelling': [
    '127.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '010.0.0.1',
    '::ffff:010.0.0.1',
    '10.1',
    '1.2.3.4.',
    '1.2.3.4:80',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '１.2.3.4',
    '[2001:db8::1]',
    '::00001',
  ],
  'a zone': ['fe80::1%eth0', '2001:db8::1%eth0', '::1%lo', '::ffff:127.0.0.1%lo'],
};

describe('apiserver: addresses that may be proxied to', () => {
  it('are global ones, private networks included', () => {
    expect(global.filter((address) => !isProxyable(address))).to.deep.equal([]);
    expect(global.filter((address) => !isProxyableHost(address))).to.deep.equal([]);
  });

  for (const [what, addresses] of Object.entries(notGlobal)) {
    it(`AC-4 are never ${what}`, () => {
      expect(addresses.filter(isProxyable)).to.deep.equal([]);
      expect(addresses.filter(isProxyableHost)).to.deep.equal([]);
    });
  }

  it('are no names, where only a kubelet may have one', () => {
    const names = ['node-1', 'node-1.example.com', 'Node-1.Example', 'node-1.example.', '10-0-0-11.example'];
    expect(names.filter(isProxyable)).to.deep.equal([]);
    expect(names.filter((name) => !isProxyableHost(name))).to.deep.equal([]);
  });

  it('are no names by which a machine means itself, or in which a resolver may read an address', () => {
    const own = [
      'localhost',
      'LOCALHOST',
      'localhost.',
      'a.localhost',
      'a.localhost.',
      'localhost6',
      'localhost.localdomain',
    ];
    own.push('localhost4.localdomain4', 'ip6-localhost', 'ip6-loopback', 'ip6-allnodes', 'broadcasthost');
    const numbers = ['1', '127.1.', 'a.1', 'a.0x7f', 'a.0x', '0x7f.1.', '10.0.0.256', 'node.010'];
    const none = ['.', '..', 'a..b', 'a/b', 'a b', 'a%b', '-a', 'ä', 'x'.repeat(254)];
    expect([...own, ...numbers, ...none].filter(isProxyableHost)).to.deep.equal([]);
    expect(
      ['localhosts', 'mylocalhost', 'localhost.example.com', 'node1'].filter(
        (name) => !isProxyableHost(name),
      ),
    ).to.deep.equal([]);
  });
});
