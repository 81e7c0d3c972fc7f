import { expect } from 'chai';
import { describeFor } from '../support/applicability.js';
import { startBlackHole } from '../support/black-hole.js';
import { startEcho, startEndpoint, refusedEndpoint } from '../support/endpoints.js';
import { knownHostsText } from '../support/ssh-keys.js';
import type { Sshd, SshAccess } from '../support/sshd.js';
import { runChild } from './child-process.js';
import type { ExitOrder, Situation } from './exit.child.js';
import { Stage, type HostAndPort } from './stage.js';

const SITUATIONS: readonly Situation[] = [
  'untouched',
  'idle',
  'streams',
  'dials',
  'connecting',
  'backing off',
];

// The black hole and the endpoints that are no sshd are reached on this machine's loopback.
describeFor('same-host', 'a process ends by itself', () => {
  const stage = new Stage();
  let sshd: Sshd;
  let echo: HostAndPort;
  let blackHole: HostAndPort;
  let mute: HostAndPort;
  let refused: HostAndPort;

  before(async () => {
    sshd = await stage.sshd();
    echo = await stage.use(startEcho(sshd));
    blackHole = await stage.use(startBlackHole());
    mute = await stage.use(startEndpoint((peer) => void peer.resume()));
    refused = await refusedEndpoint();
  });
  after(() => stage.end());

  /** The sshd, or what is in its place. */
  function accessFor(situation: Situation): SshAccess {
    const { address, port, username, privateKey, hostKeys, knownHosts } = sshd;
    const access = { address, port, username, privateKey, hostKeys, knownHosts };
    const instead = { connecting: mute, 'backing off': refused }[situation as string];
    if (instead === undefined) return access;
    const text = knownHostsText(instead.host, instead.port, hostKeys);
    return { ...access, address: instead.host, port: instead.port, knownHosts: text };
  }

  for (const end of ['close', 'destroy'] as const) {
    it(`after ${end}(), whatever the dialer was doing`, async function () {
      this.timeout(120_000);
      for (const situation of SITUATIONS) {
        const { host, port } = echo;
        const order: ExitOrder = {
          access: accessFor(situation),
          echo: { host, port },
          blackHole: { host: blackHole.host, port: blackHole.port },
          situation,
          end,
        };
        const ended = await runChild('exit.child.ts', order, { timeoutMs: 60_000 });
        expect(ended, situation).to.deep.equal({ code: 0, signal: null, stdout: 'over\n', stderr: '' });
      }
    });
  }
});
