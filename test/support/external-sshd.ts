import { readFileSync } from 'node:fs';
import { LOOPBACK, type Sshd } from './sshd.js';

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`set ${name} to test against an sshd of your own`);
  return value;
}

function refuse(capability: string): Promise<never> {
  return Promise.reject(
    new Error(
      `an sshd given by environment variables lacks "${capability}": declare the test with describeFor`,
    ),
  );
}

/** The sshd that the environment variables of target.ts describe. It is used as it is, and left as it was. */
export function externalSshd(): Sshd {
  const address = required('TUNNEL_TEST_SSH_ADDRESS');
  const knownHosts = readFileSync(required('TUNNEL_TEST_SSH_KNOWN_HOSTS_FILE'), 'utf8');
  const endpointHost = process.env.TUNNEL_TEST_ENDPOINT_HOST ?? LOOPBACK.endpointHost;
  const isHere = endpointHost === LOOPBACK.endpointHost;
  const close = () => Promise.resolve();
  return {
    address,
    port: Number(process.env.TUNNEL_TEST_SSH_PORT ?? 22),
    username: required('TUNNEL_TEST_SSH_USERNAME'),
    privateKey: readFileSync(required('TUNNEL_TEST_SSH_PRIVATE_KEY_FILE'), 'utf8'),
    knownHosts,
    hostKeys: knownHosts.match(/(?:ssh-|ecdsa-)\S+ AAAA\S+/g) ?? [],
    listenHost: isHere ? LOOPBACK.listenHost : '0.0.0.0',
    endpointHost,
    log: [],
    waitForLog: () => refuse('log'),
    connectionCount: () => refuse('processes'),
    connectionPids: () => refuse('processes'),
    killConnections: () => refuse('processes'),
    stopAll: () => refuse('processes'),
    contAll: () => refuse('processes'),
    stop: () => refuse('restart'),
    restart: () => refuse('restart'),
    close,
    [Symbol.asyncDispose]: close,
  };
}
