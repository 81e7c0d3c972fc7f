import { isObjectName } from '../../kubelet/names.js';
import { badRequest, quoted } from './refusals.js';

/** What can be proxied to. */
export type TargetKind = 'node' | 'pod' | 'service';

/** What a request names in place of a mere name. */
export interface TargetName {
  /** `''`: the caller leaves it to us. */
  readonly scheme: '' | 'http' | 'https';
  readonly name: string;
  /** A number, the name of a service's port, or `''`; nothing says that there is such a port. */
  readonly port: string;
}

/** A number or the name of a port (IANA_SVC_NAME, DNS label), and nothing that could act elsewhere. */
const PORT = /^[\w.-]{0,63}$/;

/**
 * Reads `[scheme:]name[:port]` (apimachinery, pkg/util/net/port_split.go, SplitSchemeNamePort). The name must be one that an object can
 * have, which kube-apiserver finds out by looking for it.
 *
 * @param text - one segment of a path, decoded
 * @throws {@link StatusError} 400
 */
export function parseTargetName(kind: TargetKind, text: string): TargetName {
  const parts = text.split(':', 4);
  const [scheme, name, port] = parts.length === 3 ? parts : ['', ...parts];
  const isScheme = scheme === '' || scheme === 'http' || scheme === 'https';
  const isWhole = parts.length <= 3 && isScheme && name !== undefined && isObjectName(name);
  if (isWhole && PORT.test(port ?? '')) return { scheme, name, port: port ?? '' };
  throw badRequest(`invalid ${kind} request ${quoted(text)}`);
}

/** A port of TCP in decimal digits, the only way in which a port can be told from a name. */
export function portNumberIn(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= 65_535 ? number : undefined;
}
