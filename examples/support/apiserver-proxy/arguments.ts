import type { KubeletAddressType } from 'tunnel-dialer/kubelet';
import { LOGIN_HELP, LOGIN_OPTIONS } from '../access-options.js';

/** Best first, as kube-apiserver has them (`--kubelet-preferred-address-types`). */
export const KUBELET_ADDRESS_TYPES: readonly KubeletAddressType[] = [
  'Hostname',
  'InternalDNS',
  'InternalIP',
  'ExternalDNS',
  'ExternalIP',
];

export const HELP = `Usage: apiserver-proxy [options]

Stands in front of a kube-apiserver that has no route to its nodes. Logs, exec, attach, port-forward
and the proxies of nodes, pods and services go through SSH to the nodes; everything else is the
upstream's. Whoever asks is who the upstream says, and may do what the upstream says.

  --config FILE              YAML with any of the options below under their names, without dashes

Whom it serves
  --listen ADDRESS:PORT      (default: 127.0.0.1:8443)
  --tls-cert FILE            certificate that it shows, with ...
  --tls-key FILE             ... its key
  --client-ca FILE           authority of client certificates; who shows one is impersonated
                             (default: bearer tokens only)

The upstream
  --upstream URL             (default: the cluster that this pod runs in)
  --upstream-ca FILE         authority of its certificate (default: the pod's)
  --upstream-token-file FILE what the proxy shows for itself (default: the pod's); or else
  --upstream-client-certificate FILE
                             its client certificate, with ...
  --upstream-client-key FILE ... its key
  --lookups-as proxy|caller  whose rights look pods and services up (default: proxy, as in
                             kube-apiserver)

The kubelets
  --kubelet-ca FILE          authority of their certificates
  --kubelet-cert FILE        the certificate that they are shown, with ...
  --kubelet-key FILE         ... its key
  --kubelet-verify-subject   it must be the node's own: system:node:NAME
  --kubelet-insecure-skip-tls-verify
                             do not ask who answers
  --kubelet-preferred-address-types LIST
                             which of a node's addresses is dialled, best first (default:
                             ${KUBELET_ADDRESS_TYPES.join(',')})

The nodes
  --kubeconfig FILE          where they are listed (default: the upstream, as the proxy), with ...
  --context NAME             ... a context of it (default: its current one)
  --nodes FILE               a YAML or JSON file that lists them, in place of a cluster
  --node-annotations         believe the annotations tunnel-dialer/ssh-port and ssh-host-key of
                             Node objects. Then whoever may change a Node says who it is.
  --bastion NAME=[USER@]ADDRESS[:PORT]
                             a jump host before the cluster's nodes; again for one behind it. With
                             --nodes, the file says via whom
${LOGIN_HELP}
  --status ADDRESS:PORT      status page, /healthz, /readyz and /metrics (default: 127.0.0.1:9090)
  --shutdown-delay SECONDS   how long everybody is served after SIGTERM, while /readyz says 503 and
                             load balancers look elsewhere (default: 0)
  --drain SECONDS            how long what is open then may go on, while nothing new is served
                             (default: 30)
  --quiet                    no access log
  -h, --help                 print this

Certificates, keys, authorities and tokens are read again when their files change.

Every option with a value can come from the environment: --tls-cert is APISERVER_PROXY_TLS_CERT.
The command line wins over the environment, and that over --config. A passphrase of the SSH key
can only come from there: APISERVER_PROXY_PASSPHRASE.

Exit codes: 0 ended by SIGTERM or Ctrl-C, streams drained; 1 failed; 2 wrong usage; 130 or 143
ended at once, by a second Ctrl-C or SIGTERM.
`;

export const OPTIONS = {
  config: { type: 'string' },
  listen: { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  upstream: { type: 'string' },
  'upstream-ca': { type: 'string' },
  'upstream-token-file': { type: 'string' },
  'upstream-client-certificate': { type: 'string' },
  'upstream-client-key': { type: 'string' },
  'lookups-as': { type: 'string' },
  'kubelet-ca': { type: 'string' },
  'kubelet-cert': { type: 'string' },
  'kubelet-key': { type: 'string' },
  'kubelet-verify-subject': { type: 'boolean' },
  'kubelet-insecure-skip-tls-verify': { type: 'boolean' },
  'kubelet-preferred-address-types': { type: 'string' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  nodes: { type: 'string' },
  'node-annotations': { type: 'boolean' },
  bastion: { type: 'string', multiple: true },
  ...LOGIN_OPTIONS,
  status: { type: 'string' },
  'shutdown-delay': { type: 'string' },
  drain: { type: 'string' },
  quiet: { type: 'boolean' },
} as const;
