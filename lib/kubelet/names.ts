import { InvalidOptionError } from '../errors.js';
import { describeValue, type Check } from '../validation.js';

/** A container of a pod. */
export interface ContainerName {
  namespace: string;
  pod: string;
  container: string;
}

/**
 * Whether an object of Kubernetes can have this name: a DNS subdomain (apimachinery, pkg/util/validation, IsDNS1123Subdomain). It becomes a
 * segment of a path, where `..` would lead elsewhere.
 */
export const isObjectName = (text: string): boolean =>
  text.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(text);

/** The name of an object of Kubernetes, as {@link isObjectName} knows it. */
export const objectName: Check<string> = (value, path) => {
  if (typeof value === 'string' && isObjectName(value)) return value;
  throw new InvalidOptionError(
    path,
    `must be a name of Kubernetes (a-z, 0-9, '-' and '.'), got ${describeValue(value)}`,
  );
};

/** A path of the kubelet, of segments that are names. */
export const pathOf = (...segments: readonly string[]): string =>
  `/${segments.map(encodeURIComponent).join('/')}`;
