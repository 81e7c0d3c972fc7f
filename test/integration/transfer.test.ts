import { expect } from 'chai';
import { createRequire } from 'node:module';
import { describeFor } from '../support/applicability.js';
import type { Sshd } from '../support/sshd.js';
import { runChild } from './child-process.js';
import { exchange, expectedExchange } from './exchange.js';
import { nodeStatus, Stage } from './stage.js';
import type { TransferOrder, TransferReport } from './transfer.child.js';

const MIB = 1024 * 1024;
/** For a machine that is busy with other things, too. */
const TIMEOUT_MS = 120_000;
const ONE_BIG = { streams: 1, bytes: 64 * MIB };
const MANY = { streams: 200, bytes: MIB };

const { bindingAvailable } = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js') as {
  bindingAvailable: boolean;
};

/** sshd says this, at the log level DEBUG1, for each key exchange. */
const KEY_EXCHANGE = 'SSH2_MSG_KEXINIT received';
const REKEYING = ['RekeyLimit 4M', 'LogLevel DEBUG1'];

const keyExchanges = ({ log }: Sshd): number => log.filter((line) => line.includes(KEY_EXCHANGE)).length;

describe(`bulk transfers (ssh2's native addon: ${bindingAvailable ? 'in use' : 'not built'})`, function () {
  this.timeout(TIMEOUT_MS);
  const stage = new Stage();
  afterEach(() => stage.end());

  it('64 MiB up and 64 MiB down at once on one stream arrive unchanged', async () => {
    const sshd = await stage.sshd();
    const got = await exchange(stage.dialer(sshd), sshd, ONE_BIG);
    expect(got).to.deep.equal(expectedExchange(ONE_BIG));
  });

  it('200 streams of 1 MiB each way together arrive unchanged', async () => {
    const sshd = await stage.sshd();
    const got = await exchange(stage.dialer(sshd), sshd, MANY);
    expect(got).to.deep.equal(expectedExchange(MANY));
  });

  describeFor(['configure', 'log'], 'across key exchanges (RekeyLimit 4M)', () => {
    it('64 MiB up and 64 MiB down at once on one stream arrive unchanged', async () => {
      const sshd = await stage.sshd({ config: REKEYING });
      const dialer = stage.dialer(sshd);
      const got = await exchange(dialer, sshd, ONE_BIG);
      expect(got).to.deep.equal(expectedExchange(ONE_BIG));
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
      expect(keyExchanges(sshd)).to.be.at.least(ONE_BIG.bytes / (4 * MIB));
    });

    it('200 streams of 1 MiB each way together arrive unchanged', async () => {
      const sshd = await stage.sshd({ config: REKEYING });
      const dialer = stage.dialer(sshd);
      const got = await exchange(dialer, sshd, MANY);
      expect(got).to.deep.equal(expectedExchange(MANY));
      expect(nodeStatus(dialer).counts).to.include({ failed: 0, lost: 0 });
      expect(keyExchanges(sshd)).to.be.at.least((MANY.streams * MANY.bytes) / (4 * MIB) / 2);
    });
  });
});

describe("bulk transfers (ssh2's native addon: switched off, in a process of its own)", function () {
  this.timeout(TIMEOUT_MS);
  const stage = new Stage();
  afterEach(() => stage.end());

  async function exchangeWithoutAddon(sshd: Sshd): Promise<void> {
    const { address, port, username, privateKey, hostKeys, knownHosts, listenHost, endpointHost } = sshd;
    const access = { address, port, username, privateKey, hostKeys, knownHosts, listenHost, endpointHost };
    const order: TransferOrder = { access, shapes: [ONE_BIG, MANY] };
    const env = { TUNNEL_TEST_NATIVE_ADDON: 'off' };
    const { code, stdout, stderr } = await runChild('transfer.child.ts', order, {
      env,
      timeoutMs: TIMEOUT_MS,
    });
    expect(code, stderr).to.equal(0);
    const { nativeAddon, exchanged } = JSON.parse(stdout) as TransferReport;
    expect(nativeAddon).to.equal(false);
    expect(exchanged).to.deep.equal([expectedExchange(ONE_BIG), expectedExchange(MANY)]);
  }

  it('64 MiB each way on one stream and 200 streams of 1 MiB each way arrive unchanged', async () => {
    await exchangeWithoutAddon(await stage.sshd());
  });

  describeFor(['configure', 'log'], 'across key exchanges (RekeyLimit 4M)', () => {
    it('64 MiB each way on one stream and 200 streams of 1 MiB each way arrive unchanged', async () => {
      const sshd = await stage.sshd({ config: REKEYING });
      await exchangeWithoutAddon(sshd);
      expect(keyExchanges(sshd)).to.be.at.least(ONE_BIG.bytes / (4 * MIB));
    });
  });
});
