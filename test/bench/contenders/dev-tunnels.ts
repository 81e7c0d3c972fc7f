import { NodeStream, SshClientSession, SshSessionConfiguration } from '@microsoft/dev-tunnels-ssh';
import { importKey } from '@microsoft/dev-tunnels-ssh-keys';
import { PortForwardingService } from '@microsoft/dev-tunnels-ssh-tcp';
import ssh2 from 'ssh2';
import type { Entrant } from '../contender.js';
import { hostVerifier } from './known-host.js';
import { openSocket } from './local-socket.js';

/** Microsoft's SSH library of VS Code's tunnels: the one npm package with an SSH client of its own beside ssh2, and well kept. */
export const devTunnels: Entrant = {
  name: 'dev-tunnels-ssh',
  async start({ sshd, endpoints: { host, ports } }) {
    const verify = hostVerifier(sshd);
    const configuration = new SshSessionConfiguration();
    configuration.addService(PortForwardingService);
    const session = new SshClientSession(configuration);
    session.onAuthenticating((attempt) => {
      attempt.authenticationPromise = Promise.resolve(attempt.publicKey?.getPublicKeyBytes()).then((key) =>
        key !== null && key !== undefined && verify(key) ? {} : null,
      );
    });
    await session.connect(new NodeStream(await openSocket(sshd.port, sshd.address)));
    const key = await importKey(pemOf(sshd.privateKey));
    if (!(await session.authenticate({ username: sshd.username, publicKeys: [key] })))
      throw new Error('dev-tunnels-ssh: host key or login refused');
    const forwarding = session.activateService(PortForwardingService);
    return {
      name: devTunnels.name,
      dial: (endpoint) => forwarding.streamToRemotePort(host, ports[endpoint]),
      close: () => {
        session.dispose();
        return Promise.resolve();
      },
    };
  },
};

/** It cannot read OpenSSH's own format of private keys. */
function pemOf(privateKey: string): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  return key.getPrivatePEM();
}
