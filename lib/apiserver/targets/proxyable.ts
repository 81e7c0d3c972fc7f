import { BlockList, isIP } from 'node:net';
import { isObjectName } from '../../kubelet/names.js';

/** What is no global unicast address (Go's `IP.IsGlobalUnicast`), and what could stand for one of these. */
const REFUSED = new BlockList();
/** `this network` (RFC 1122 §3.2.1.3); Linux takes 0.0.0.0 for itself. */
REFUSED.addSubnet('0.0.0.0', 8);
REFUSED.addSubnet('127.0.0.0', 8);
REFUSED.addSubnet('169.254.0.0', 16);
REFUSED.addSubnet('224.0.0.0', 4);
REFUSED.addAddress('255.255.255.255');
/** Unspecified, loopback, and IPv4-compatible addresses (RFC 4291 §2.5.5.1), of which nobody knows where they lead. */
REFUSED.addSubnet('::', 96, 'ipv6');
/** IPv4-translated addresses (RFC 2765 §2.1). */
REFUSED.addSubnet('::ffff:0:0:0', 96, 'ipv6');
/** NAT64 (RFC 6052 §2.1): an IPv4 address in disguise. */
REFUSED.addSubnet('64:ff9b::', 96, 'ipv6');
REFUSED.addSubnet('fe80::', 10, 'ipv6');
/** Site-local addresses (RFC 3879), which are none any more. */
REFUSED.addSubnet('fec0::', 10, 'ipv6');
REFUSED.addSubnet('ff00::', 8, 'ipv6');

/** Verdicts on addresses that were judged before: a request has nearly always the address of one before it. */
const judged = new Map<string, boolean>();
const MAX_JUDGED = 4096;

/** Names that every machine has for itself, or for all of its neighbours, in files that distributions ship as `/etc/hosts`. */
const OWN_NAMES =
  /^(.+\.)?(localhost|localhost4|localhost6)(\.localdomain[46]?)?$|^ip6-(localhost|loopback|localnet|mcastprefix|all\w+)$|^broadcasthost$/;

/**
 * Whether a pod, or an endpoint of a service, may be proxied to at this address: an IP address, and neither loopback, link-local, multicast,
 * unspecified nor broadcast, in whatever form (CVE-2022-3294; pkg/proxy/util, IsProxyableIP). Private addresses are what pods have.
 *
 * Only the usual spelling is an address: `127.1`, `0x7f.1`, `010.0.0.1`, brackets and zones are refused, so that what was judged is what
 * the node's sshd is asked for.
 */
export function isProxyable(address: string): boolean {
  let verdict = judged.get(address);
  if (verdict === undefined) {
    verdict = judge(address);
    if (judged.size >= MAX_JUDGED) judged.clear();
    judged.set(address, verdict);
  }
  return verdict;
}

function judge(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return false;
  // An IPv4 address in the form of IPv6 (`::ffff:127.0.0.1`) is judged by the rules for IPv4.
  return !REFUSED.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * Whether a kubelet may be proxied to at this address, which can also be a name: it is resolved by the node, so that what it stands for
 * cannot be judged here. Refused are names by which a machine means itself, such as `localhost` and whatever ends in `.localhost` (RFC 6761
 * §6.3), and those in which a resolver may read an IPv4 address, because they end in a number (as in WHATWG URL).
 */
export function isProxyableHost(host: string): boolean {
  if (isIP(host) !== 0) return isProxyable(host);
  const name = host.toLowerCase().replace(/\.$/, '');
  const endsInNumber = /(^|\.)(\d+|0x[\da-f]*)$/.test(name);
  return isObjectName(name) && !endsInNumber && !OWN_NAMES.test(name);
}
