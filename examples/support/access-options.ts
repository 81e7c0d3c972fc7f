/* What commands have in common on their command lines: options, and the lines of their help. */

export const LOGIN_OPTIONS = {
  user: { type: 'string' },
  key: { type: 'string' },
  'known-hosts': { type: 'string' },
} as const;

export const NODE_OPTIONS = {
  node: { type: 'string' },
  ...LOGIN_OPTIONS,
  'host-key': { type: 'string' },
  'self-address': { type: 'string' },
} as const;

export const KUBELET_LOGIN_OPTIONS = {
  ca: { type: 'string' },
  cert: { type: 'string' },
  'client-key': { type: 'string' },
  'token-file': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean' },
} as const;

export const KUBELET_OPTIONS = {
  'kubelet-port': { type: 'string' },
  ...KUBELET_LOGIN_OPTIONS,
  'tls-server-name': { type: 'string' },
} as const;

export const LOGIN_HELP = `\
  --user NAME                who logs in (default: you)
  --key FILE                 private key (default: your ssh-agent, SSH_AUTH_SOCK)
  --known-hosts FILE         host keys that you trust (default: ~/.ssh/known_hosts)
`;

export const NODE_HELP = `\
  --node ADDRESS[:PORT]      where its sshd listens; the port is 22 unless given
${LOGIN_HELP}\
  --host-key SHA256:...      the node's host key itself, in place of known_hosts
`;

export const KUBELET_LOGIN_HELP = `\
  --cert FILE                your certificate, with ...
  --client-key FILE          ... its key; or else
  --token-file FILE          your bearer token
`;

export const KUBELET_HELP = `\
  --kubelet-port PORT        (default: 10250)
  --self-address ADDRESS     where the kubelet listens as seen from the node itself, such as
                             127.0.0.1 (default: the address of --node)
  --ca FILE                  authority that signed the kubelet's certificate
${KUBELET_LOGIN_HELP}\
  --tls-server-name NAME     a name in the kubelet's certificate, if the address is not
  --insecure-skip-tls-verify do not ask who answers. Never with a token that matters.
`;

/** What every command says of its environment. */
export const environmentHelp = (variables: string): string => `\
Every option with a value can come from the environment: --known-hosts is
${variables}_KNOWN_HOSTS, --key is ${variables}_KEY. A passphrase can only
come from there: ${variables}_PASSPHRASE.
`;
