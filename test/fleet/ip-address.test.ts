import { BlockList, isIP, SocketAddress } from 'node:net';
import { expect } from 'chai';
import { leadingBits, parseCidr, parseHost, parseIpAddress } from '../../lib/fleet/ip-address.js';
import { host } from '../../lib/validation.js';
import { below, seededRandom } from '../support/seeded-random.js';

/** The WHATWG URL parser writes IPv6 as RFC 5952 does, but never dotted. */
function canonicalOfUrl(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function randomIPv4(random: () => number): string {
  return Array.from({ length: 4 }, () => below(256, random)).join('.');
}

/** Eight groups, many of them zero, in one of the notations that RFC 4291 §2.2 allows. */
function randomIPv6(random: () => number): string {
  const groups = Array.from({ length: 8 }, () =>
    random() < 0.5 ? 0 : below(random() < 0.5 ? 16 : 65536, random),
  );
  if (random() < 0.15) groups.splice(0, 6, 0, 0, 0, 0, 0, 0xffff);
  const written = groups.map((group) => {
    const hex = group.toString(16).padStart(1 + below(4, random), '0');
    return random() < 0.5 ? hex : hex.toUpperCase();
  });
  if (random() < 0.3) {
    const [high = 0, low = 0] = groups.slice(6);
    written.splice(6, 2, [high >> 8, high & 255, low >> 8, low & 255].join('.'));
  }
  const zeros = groups.slice(0, written.length === 7 ? 6 : 8);
  const start = zeros.indexOf(0);
  if (start === -1 || random() < 0.3) return written.join(':');
  let end = start;
  while (zeros[end] === 0 && (end === start || random() < 0.8)) end += 1;
  return `${written.slice(0, start).join(':')}::${written.slice(end).join(':')}`;
}

describe('parseIpAddress', () => {
  const table: [text: string, canonical: string, family: 4 | 6, zone?: string][] = [
    ['0.0.0.0', '0.0.0.0', 4],
    ['255.255.255.255', '255.255.255.255', 4],
    ['10.0.0.11', '10.0.0.11', 4],
    ['::ffff:10.0.0.11', '10.0.0.11', 4],
    ['::FFFF:a00:b', '10.0.0.11', 4],
    ['[::ffff:10.0.0.11]', '10.0.0.11', 4],
    ['0:0:0:0:0:ffff:255.0.0.1', '255.0.0.1', 4],
    ['::', '::', 6],
    ['0:0:0:0:0:0:0:0', '::', 6],
    ['::1', '::1', 6],
    ['1::', '1::', 6],
    ['[fd00::1]', 'fd00::1', 6],
    ['FD00:0010:0244:0001:0000:0000:0000:0007', 'fd00:10:244:1::7', 6],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1', 6],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', 6],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', 6],
    ['a0:0:0:0b:0:0:0a:0', 'a0::b:0:0:a:0', 6],
    ['::1.2.3.4', '::102:304', 6],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1', 6],
    ['fe80::1%eth0', 'fe80::1', 6, 'eth0'],
    ['[FE80::1%br_0]', 'fe80::1', 6, 'br_0'],
  ];
  for (const [text, canonical, family, zone] of table) {
    it(`reads ${text} as ${canonical}`, () => {
      expect(parseIpAddress(text)).to.include({ text: canonical, family, zone });
    });
  }

  for (const text of [
    '',
    'node-1',
    '1',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.4.',
    '1.2.3.256',
    '[1.2.3.4]',
    '[::1',
    '::1]',
    '::1%',
    '::1%a%b',
    ':::',
    '1:2:3:4:5:6:7',
    '::g',
    '::1/128',
  ]) {
    it(`does not take ${JSON.stringify(text)} for an address`, () => {
      expect(parseIpAddress(text)).to.equal(undefined);
    });
  }

  it('agrees with node:net and the URL parser on random addresses in every notation', () => {
    const random = seededRandom(1);
    for (let round = 0; round < 5000; round += 1) {
      const text = randomIPv6(random);
      expect(isIP(text), text).to.equal(6);
      const parsed = parseIpAddress(text);
      const canonical = canonicalOfUrl(text);
      if (canonical.startsWith('::ffff:') && canonical.split(':').length === 5) {
        const mapped = `::ffff:${parsed?.text ?? ''}`;
        expect(parsed?.family, text).to.equal(4);
        expect(canonicalOfUrl(mapped), text).to.equal(canonical);
      } else {
        expect(parsed, text).to.include({ family: 6, text: canonical });
      }
      const socketAddress = new SocketAddress({ address: text, family: 'ipv6' }).address;
      expect(parseIpAddress(socketAddress), text).to.deep.equal(parsed);
    }
  });

  it('keeps an IPv4 address as it is', () => {
    const random = seededRandom(2);
    for (let round = 0; round < 1000; round += 1) {
      const text = randomIPv4(random);
      expect(parseIpAddress(text)).to.include({ family: 4, text, zone: undefined });
    }
  });

  it('takes a damaged address for one exactly if node:net does', () => {
    const random = seededRandom(3);
    const letters = '0123456789abcdefgFG:.%[] ';
    let accepted = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const characters = Array.from(random() < 0.3 ? randomIPv4(random) : randomIPv6(random));
      const damage = letters[below(letters.length, random)] ?? '';
      characters.splice(below(characters.length + 1, random), below(3, random), damage);
      const text = characters.join('');
      // Node's rule for zones has changed between versions, and brackets are not its business.
      if (/[%[\]]/.test(text)) continue;
      const parsed = parseIpAddress(text);
      expect(parsed !== undefined, text).to.equal(isIP(text) !== 0);
      if (parsed !== undefined) accepted += 1;
    }
    expect(accepted).to.be.within(1000, 19_000);
  });

  it('never throws, and finds an address in a host with a colon that validation accepts', () => {
    const random = seededRandom(4);
    const letters = [
      '0',
      '1',
      'f',
      ':',
      '::',
      '.',
      '%',
      '[',
      ']',
      '/',
      '-',
      ' ',
      '\0',
      'ü',
      'ffff',
      '10.0.0.1',
    ];
    for (let round = 0; round < 20_000; round += 1) {
      const length = 1 + below(8, random);
      const text = Array.from({ length }, () => letters[below(letters.length, random)]).join('');
      const parsed = parseIpAddress(text);
      parseCidr(text);
      parseHost(text);
      let valid = true;
      try {
        host(text, 'host');
      } catch {
        valid = false;
      }
      if (valid && text.includes(':')) expect(parsed, text).to.not.equal(undefined);
    }
  });
});

describe('parseCidr', () => {
  const table: [text: string, canonical: string][] = [
    ['10.244.1.0/24', '10.244.1.0/24'],
    ['10.244.1.7/24', '10.244.1.0/24'],
    ['10.244.1.7/32', '10.244.1.7/32'],
    ['10.244.1.7/0', '0.0.0.0/0'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['FD00:10:244:1::/64', 'fd00:10:244:1::/64'],
    ['fd00:10:244:1::7/64', 'fd00:10:244:1::/64'],
    ['fd00::7/128', 'fd00::7/128'],
    ['fd00::7/0', '::/0'],
    ['::ffff:10.244.1.0/120', '10.244.1.0/24'],
    ['::ffff:0:0/96', '0.0.0.0/0'],
    ['::ffff:10.0.0.0/95', '::fffe:0:0/95'],
  ];
  for (const [text, canonical] of table) {
    it(`reads ${text} as ${canonical}`, () => {
      expect(parseCidr(text)?.text).to.equal(canonical);
    });
  }

  for (const text of [
    '',
    '/',
    '10.0.0.0',
    '10.0.0.0/',
    '/24',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/024',
    '10.0.0.0/1e1',
    '10.0.0.0/24/24',
    '10.0.0.0/255.0.0.0',
    '10.0.0/24',
    ' 10.0.0.0/24',
    '10.0.0.0/24\n',
    'fd00::/129',
    '[fd00::]/64',
    'fe80::%eth0/64',
    'node-1/24',
  ]) {
    it(`does not take ${JSON.stringify(text)} for a network`, () => {
      expect(parseCidr(text)).to.equal(undefined);
    });
  }

  it('holds exactly the addresses that node:net says it holds', () => {
    const random = seededRandom(5);
    let inside = 0;
    for (let round = 0; round < 5000; round += 1) {
      const family = random() < 0.5 ? 4 : 6;
      const width = family === 4 ? 32 : 128;
      const base = family === 4 ? randomIPv4(random) : randomIPv6(random);
      const prefix = below(width + 1, random);
      const address = parseIpAddress(base);
      if (address?.family !== family) continue;
      const cidr = parseCidr(`${base}/${prefix}`);
      expect(cidr, base).to.not.equal(undefined);
      // A neighbour that differs in one bit is inside or out by a hair.
      const flipped = (1n << BigInt(below(width, random))) ^ address.bits;
      const hex = flipped
        .toString(16)
        .padStart(32, '0')
        .replace(/(.{4})(?=.)/g, '$1:');
      const neighbour = family === 4 ? Number(flipped) : hex;
      const text =
        typeof neighbour === 'string'
          ? neighbour
          : [24, 16, 8, 0].map((shift) => (neighbour >>> shift) & 255).join('.');
      const other = parseIpAddress(text);
      if (other?.family !== family) continue;

      const oracle = new BlockList();
      oracle.addSubnet(base, prefix, family === 4 ? 'ipv4' : 'ipv6');
      const expected = oracle.check(text, family === 4 ? 'ipv4' : 'ipv6');
      expect(leadingBits(other, prefix) === cidr?.network, `${text} in ${base}/${prefix}`).to.equal(expected);
      expect(leadingBits(address, prefix) === cidr?.network, base).to.equal(true);
      if (expected) inside += 1;
    }
    expect(inside).to.be.within(1000, 4000);
  });

  it('gives networks with the same addresses the same text', () => {
    const random = seededRandom(6);
    for (let round = 0; round < 1000; round += 1) {
      const cidr = parseCidr(`${randomIPv6(random)}/${below(129, random)}`);
      expect(parseCidr(cidr?.text ?? '')).to.deep.equal(cidr);
    }
  });
});

describe('parseHost', () => {
  const table: [text: string, key: string, host: string][] = [
    ['Node-1.Example.', 'node-1.example', 'Node-1.Example.'],
    ['10.0.0.1', '10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1', '10.0.0.1'],
    ['[FD00::0:1]', 'fd00::1', 'fd00::1'],
    ['[fe80::1%eth0]', 'fe80::1', 'fe80::1%eth0'],
  ];
  for (const [text, key, dialled] of table) {
    it(`compares ${text} as ${key} and dials ${dialled}`, () => {
      expect(parseHost(text)).to.include({ key, host: dialled });
    });
  }
});
