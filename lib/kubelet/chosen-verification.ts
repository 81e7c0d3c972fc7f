import { InvalidOptionError } from '../errors.js';
import { given } from '../tls/tls-source.js';
import type { CheckedOptions } from './options.js';
import type { Verification } from './verification.js';

/**
 * The one way that the options tell in which the kubelet is verified.
 *
 * @throws {@link InvalidOptionError} when they tell none, or several, or what has no meaning in that way
 */
export function verificationOf(checked: CheckedOptions): Verification {
  const { tls, certificateAuthority, pinnedCertificate, insecureSkipTLSVerify, verifySubject } = checked;
  const told = tls === undefined ? {} : given(tls.current());
  const ways = [
    certificateAuthority !== undefined && 'certificateAuthority',
    told.ca !== undefined && 'tls',
    pinnedCertificate !== undefined && 'pinnedCertificate',
    insecureSkipTLSVerify && 'insecureSkipTLSVerify',
  ].filter((way) => way !== false);
  const [way, other] = ways;
  if (way === undefined) {
    const problem =
      "is missing: give the authority of the kubelet's certificate, or tls with a caFile, or pinnedCertificate; insecureSkipTLSVerify: true believes anybody";
    throw new InvalidOptionError('certificateAuthority', problem);
  }
  if (other !== undefined)
    throw new InvalidOptionError(
      other,
      `stands beside ${way}, which verifies otherwise: give one of the two`,
    );
  const isByChain = way === 'certificateAuthority' || way === 'tls';
  for (const option of ['verifySubject', 'serverName'] as const) {
    if (!isByChain && Boolean(checked[option]))
      throw new InvalidOptionError(
        option,
        `has no meaning with ${way}: the names in the certificate are not looked at`,
      );
  }
  if (isByChain) return { kind: 'chain-and-name', subjectToo: verifySubject };
  return pinnedCertificate === undefined
    ? { kind: 'none' }
    : { kind: 'pinned', fingerprint: pinnedCertificate };
}
