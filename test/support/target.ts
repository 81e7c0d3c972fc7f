/**
 * The sshd that the integration tests run against. `TUNNEL_TEST_TARGET` chooses it:
 *
 * - `own` (the default): OpenSSH's sshd from this machine, started by the tests as the current user.
 * - `container`: a container built from test/sshd/Dockerfile with the `docker` on the PATH (`npm run test:container`).
 * - `external`: an sshd that runs already; implied by `TUNNEL_TEST_SSH_ADDRESS`. Described by
 *
 *   | variable | meaning |
 *   |---|---|
 *   | `TUNNEL_TEST_SSH_ADDRESS` | name or IP address of the sshd |
 *   | `TUNNEL_TEST_SSH_PORT` | its port; default 22 |
 *   | `TUNNEL_TEST_SSH_USERNAME` | user who may open TCP connections through it |
 *   | `TUNNEL_TEST_SSH_PRIVATE_KEY_FILE` | that user's private key, not encrypted |
 *   | `TUNNEL_TEST_SSH_KNOWN_HOSTS_FILE` | known_hosts file with the sshd's host keys, names not hashed |
 *   | `TUNNEL_TEST_ENDPOINT_HOST` | address by which the sshd's machine reaches this one; default 127.0.0.1: they are one machine |
 */
import { startContainerSshd } from './container-sshd.js';
import { externalSshd } from './external-sshd.js';
import { startSshd } from './own-sshd.js';
import { LOOPBACK, type Sshd, type SshdOptions } from './sshd.js';

/** What the tests run against. */
export type TargetKind = 'own' | 'container' | 'external';

/** What a target may be able to do beyond being reached. */
export type Capability =
  /** An sshd for each test, started with options; several at once. */
  | 'configure'
  /** Connections can be counted, killed, stopped. */
  | 'processes'
  /** sshd can be stopped and started again. */
  | 'restart'
  /** Its log can be read. */
  | 'log'
  /** It runs on this machine: it reaches every loopback address that this process does. */
  | 'same-host';

const ALL: readonly Capability[] = ['configure', 'processes', 'restart', 'log', 'same-host'];

function chosenKind(): TargetKind {
  const kind = process.env.TUNNEL_TEST_TARGET ?? '';
  const address = process.env.TUNNEL_TEST_SSH_ADDRESS ?? '';
  if (kind === '') return address === '' ? 'own' : 'external';
  if (kind === 'own' || kind === 'container' || kind === 'external') return kind;
  throw new Error(`TUNNEL_TEST_TARGET is "${kind}": use own, container or external`);
}

/** The kind of target of this run. */
export const targetKind: TargetKind = chosenKind();

function capabilitiesOf(kind: TargetKind): readonly Capability[] {
  if (kind !== 'external') return ALL;
  const endpointHost = process.env.TUNNEL_TEST_ENDPOINT_HOST ?? LOOPBACK.endpointHost;
  return endpointHost === LOOPBACK.endpointHost ? ['same-host'] : [];
}

/** What the target of this run can do. */
export const capabilities: ReadonlySet<Capability> = new Set(capabilitiesOf(targetKind));

/**
 * The target of this run, to be closed by whoever acquired it. Options need `configure`, and so does a test
 * that relies on having an sshd to itself.
 */
export async function acquireTarget(options: SshdOptions = {}): Promise<Sshd> {
  switch (targetKind) {
    case 'own':
      return startSshd(options);
    case 'container':
      return startContainerSshd(options);
    case 'external':
      if (Object.keys(options).length > 0)
        throw new Error('options need "configure": declare the test with describeFor');
      return externalSshd();
  }
}
