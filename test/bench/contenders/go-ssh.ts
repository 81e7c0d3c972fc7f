import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findProgram } from '../../support/find-program.js';
import { Absent, type EndpointName, type Entrant } from '../contender.js';
import { openSocket } from './local-socket.js';

/** Where Debian's packages of Go libraries are. */
const GOPATH = '/usr/share/gocode';

const PROGRAM = fileURLToPath(new URL('go', import.meta.url));

/** Go's golang.org/x/crypto/ssh, the engine of Kubernetes' SSHTunneler, as a process that listens for each endpoint. */
export const goSsh: Entrant = {
  name: 'Go x/crypto/ssh',
  async start({ sshd, endpoints: { host, ports }, directory }) {
    const program = await build(directory);
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const { address, port, username, privateKey, hostKeys } = sshd;
    const endpoints = Object.fromEntries(
      Object.entries(ports).map(([endpoint, number]) => [endpoint, `${host}:${number}`]),
    );
    const task = { address: `${address}:${port}`, username, privateKey, hostKeys, endpoints };
    child.stdin.write(`${JSON.stringify(task)}\n`);
    const [line] = (await Promise.race([
      once(createInterface(child.stdout), 'line'),
      exited.then(() => Promise.reject(new Error('the Go program ended'))),
    ])) as [string];
    const localPorts = JSON.parse(line) as Record<EndpointName, number>;
    return {
      name: goSsh.name,
      dial: (endpoint) => openSocket(localPorts[endpoint]),
      close: async () => {
        child.stdin.end();
        await exited;
      },
    };
  },
};

/**
 * Compiles the program beside this file, with what Debian has of Go: nothing is fetched.
 *
 * @returns the path of the executable
 * @throws {@link Absent} when something is not installed
 */
async function build(directory: string): Promise<string> {
  const go = findProgram('go');
  if (go === undefined)
    throw new Absent('Go is not installed (Debian: golang-go and golang-golang-x-crypto-dev)');
  if (!existsSync(join(GOPATH, 'src/golang.org/x/crypto/ssh')))
    throw new Absent(`golang.org/x/crypto is not in ${GOPATH} (Debian: golang-golang-x-crypto-dev)`);
  const program = join(await mkdtemp(join(directory, 'go-')), 'forward');
  // Without cgo, as Kubernetes is built: it takes no C compiler.
  const env = { ...process.env, GOPATH, GO111MODULE: 'off', GOFLAGS: '', CGO_ENABLED: '0' };
  await promisify(execFile)(go, ['build', '-o', program, '.'], { cwd: PROGRAM, env });
  return program;
}
