import { arrayOf, boolean, nonEmptyString, objectOf, optional, withDefault } from '../../validation.js';
import { date } from '../certificates.js';

/** How a serving certificate differs from the one before. */
export interface CertificateChange {
  /** Default: as in the options of the kubelet. */
  readonly altNames?: readonly string[] | undefined;
  /** CN. Default: as a kubelet has it. */
  readonly commonName?: string | undefined;
  /** O. Default: as a kubelet has it. */
  readonly organization?: string | undefined;
  /** Default: an hour ago. */
  readonly notBefore?: Date | undefined;
  /** Default: in a day. */
  readonly notAfter?: Date | undefined;
  /** Whether another authority issues it, so that `certificateAuthority` changes, too. Default: false. */
  readonly newAuthority?: boolean | undefined;
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkChange = objectOf({
  altNames: optional(arrayOf(nonEmptyString)),
  commonName: optional(nonEmptyString),
  organization: optional(nonEmptyString),
  notBefore: optional(date),
  notAfter: optional(date),
  newAuthority: withDefault(boolean, false),
});
