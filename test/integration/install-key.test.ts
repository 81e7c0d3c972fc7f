import { expect } from 'chai';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, type InstallKeyNode } from '../../lib/index.js';
import { describeFor, ownSshd } from '../support/applicability.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { startSshd } from '../support/own-sshd.js';
import { temporaryDirectory } from '../support/sshd-files.js';
import { NODE, nodeStatus, Stage } from './stage.js';

/** After a refusal no attempt is made before the test is over, unless something else brings it about. */
const NO_SECOND_ATTEMPT = { minMs: 600_000, maxMs: 600_000 };

// The hook writes to a file of the sshd's machine.
describeFor(ownSshd, 'installKey with a real sshd', () => {
  const stage = new Stage();
  let directory: string;
  let authorizedKeys: string;

  beforeEach(() => {
    directory = temporaryDirectory();
    stage.onEnd(() => rmSync(directory, { recursive: true, force: true }));
    authorizedKeys = join(directory, 'authorized_keys');
    writeFileSync(authorizedKeys, '', { mode: 0o600 });
  });
  afterEach(() => stage.end());

  it('makes a node ready that did not know the key, and rotates the key without a stream being interrupted', async () => {
    const sshd = await stage.use(startSshd({ config: [`AuthorizedKeysFile ${authorizedKeys}`] }));
    const echo = await stage.use(startEcho(sshd));
    const installedOn: InstallKeyNode[] = [];
    const [first, second] = [await generateKeyPair(), await generateKeyPair()];
    const dialer = stage.dialer(sshd, {
      pool: { maxChannelsPerConnection: 1 },
      reconnect: NO_SECOND_ATTEMPT,
      ssh: {
        privateKey: first.privateKey,
        installKey: async (node, publicKey) => {
          // Late, so that the key is refused at first.
          await sshd.waitForLog(/Failed publickey|Connection (closed|reset) by authenticating user/);
          installedOn.push(node);
          appendFileSync(authorizedKeys, `${publicKey}\n`);
        },
      },
    });
    await dialer.ready({ signal: AbortSignal.timeout(15_000) });
    const { address, port, username } = sshd;
    expect(installedOn).to.deep.equal([{ name: NODE, address, port, username }]);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 1, lost: 0 });
    const stream = await stage.dialEcho(dialer, echo);

    dialer.updateCredentials({ privateKey: second.privateKey });
    // Needs another connection, which the old key would not make any more once it is gone.
    const since = sshd.log.length;
    while (nodeStatus(dialer).keyInstall?.state !== 'installed') await roundTrip(stream);
    writeFileSync(authorizedKeys, readFileSync(authorizedKeys, 'utf8').replace(`${first.publicKey}\n`, ''));
    await stage.dialEcho(dialer, echo);
    await sshd.waitForLog(new RegExp(`Accepted publickey for .* ${fingerprintIn(dialer)}`), { since });
    await roundTrip(stream);
    expect(installedOn).to.have.length(2);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 2, failed: 1, lost: 0 });
  });

  const fingerprintIn = (dialer: Parameters<typeof nodeStatus>[0]): string =>
    (nodeStatus(dialer).keyInstall?.fingerprint ?? '').replace(/[+/]/g, '\\$&');
});
