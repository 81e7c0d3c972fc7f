import { createAuthority, selfSigned, type Authority, type KeyAndCertificate } from '../certificates.js';

/** What the serving certificate is made from. */
export interface ServingOptions {
  readonly certificate: 'authority' | 'self-signed';
  readonly nodeName: string;
  readonly altNames: readonly string[];
  /** CN. Default: as a kubelet has it. */
  readonly commonName?: string | undefined;
  /** O. Default: as a kubelet has it. */
  readonly organization?: string | undefined;
  readonly notBefore?: Date | undefined;
  readonly notAfter?: Date | undefined;
}

/** A certificate, its key, and what verifies it. */
export interface Serving extends KeyAndCertificate {
  readonly certificateAuthority: string;
}

export function createServingAuthority(nodeName: string): Authority {
  return createAuthority(`kubelet-serving-ca@${nodeName}`);
}

/** As a kubelet gets it from its cluster, or makes it for itself (k8s.io/kubernetes, pkg/kubelet/certificate and cmd/kubelet/app/server.go). */
export function serve(authority: Authority, options: ServingOptions): Serving {
  const { certificate, nodeName, altNames, notBefore, notAfter } = options;
  const validity = { purpose: 'server', notBefore, notAfter } as const;
  if (certificate === 'self-signed') {
    const { commonName = `${nodeName}@${Math.floor(Date.now() / 1000)}`, organization } = options;
    const own = selfSigned({ commonName, organization, altNames, ...validity });
    return { ...own, certificateAuthority: own.certificate };
  }
  const { commonName = `system:node:${nodeName}`, organization = 'system:nodes' } = options;
  const issued = authority.issue({ commonName, organization, altNames, ...validity });
  return { ...issued, certificateAuthority: authority.certificate };
}
