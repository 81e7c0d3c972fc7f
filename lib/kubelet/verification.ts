import type { Agent } from 'node:https';
import { checkServerIdentity, TLSSocket, type PeerCertificate } from 'node:tls';
import { printable } from '../printable.js';
import type { httpsAgent } from '../http/https-agent.js';
import { KubeletCertificateError } from './errors.js';
import type { KubeletEndpoint } from './kubelet-node.js';

/** How it is made sure that it is the node's own kubelet that answers. */
export type Verification =
  /** Its certificate is of an authority of ours, and for the address that is dialled. */
  | { readonly kind: 'chain-and-name'; readonly subjectToo: boolean }
  /** Its certificate is this one, whoever has issued it and to whom. */
  | { readonly kind: 'pinned'; readonly fingerprint: string }
  | { readonly kind: 'none' };

type AgentOptions = NonNullable<Parameters<typeof httpsAgent>[1]>;

/** What the verification asks of Node. */
export function agentOptionsFor(verification: Verification, endpoint: KubeletEndpoint): AgentOptions {
  switch (verification.kind) {
    case 'chain-and-name':
      if (!verification.subjectToo) return {};
      return {
        checkServerIdentity: (host, certificate) =>
          checkServerIdentity(host, certificate) ?? problemOfSubject(certificate, endpoint),
      };
    case 'pinned':
      // Sessions are kept before the certificate is looked at.
      return { rejectUnauthorized: false, maxCachedSessions: 0 };
    case 'none':
      return { rejectUnauthorized: false };
  }
}

/** As kube-apiserver's KubeletCertCNValidation (pkg/kubelet/client): a certificate of the same authority, but of another node, is none. */
function problemOfSubject({ subject }: PeerCertificate, endpoint: KubeletEndpoint): Error | undefined {
  // A name that occurs more than once is an array.
  const { CN: commonName, O: organization } = subject as unknown as Readonly<Record<string, unknown>>;
  const group: unknown = Array.isArray(organization) ? organization[0] : organization;
  const expected = `system:node:${endpoint.node}`;
  if (commonName === expected && group === 'system:nodes') return undefined;
  const got = printable(`CN ${shown(commonName)}, O ${shown(group)}`);
  return new KubeletCertificateError(
    `the certificate of the kubelet of ${endpoint.node} is for another subject: ${got}, expected CN ${expected}, O system:nodes`,
    endpoint,
  );
}

const shown = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? 'none' : 'several';

/**
 * Has the sockets of an agent send nothing to anybody who has not shown the pinned certificate. What is written waits in the socket until the
 * handshake is over, and is gone when the socket is destroyed in this very event; as when Node finds that it cannot verify.
 */
export function pin(agent: Agent, fingerprint: string, endpoint: KubeletEndpoint): void {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = connect(options, callback);
    if (!(socket instanceof TLSSocket)) return socket;
    return socket.once('secureConnect', () => {
      const got = socket.getPeerX509Certificate()?.fingerprint256;
      if (got?.replaceAll(':', '') !== fingerprint)
        socket.destroy(new KubeletCertificateError(otherThanPinned(got, endpoint), endpoint));
    });
  };
}

function otherThanPinned(got: string | undefined, { node }: KubeletEndpoint): string {
  return `the kubelet of ${node} shows another certificate than the pinned one: ${got ?? 'none'}; compare it with the node's, and pin that if it was renewed`;
}
