import { expect } from 'chai';
import { once } from 'node:events';
import type { StatusError } from '../../../lib/apiserver/index.js';
import { openSpdy } from '../../../lib/apiserver/translate/open-spdy.js';
import { until } from '../../support/dialer.js';
import { Proxy, upgradeRequest } from '../upgrade/stage.js';

describe('openSpdy', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await Proxy.start();
  });
  afterEach(() => proxy.end());

  /** What is opened at a kubelet that answers this: its protocol and what is read first, or the code of the error. */
  async function opened(answer: string, protocols: readonly string[]): Promise<unknown> {
    await proxy.toRaw((socket) => socket.once('data', () => socket.write(answer)));
    let result: unknown;
    proxy.serve = async (upgrade) => {
      try {
        const spdy = await openSpdy({ upgrade, backend: proxy.backend, path: '/exec' }, protocols);
        if (spdy === undefined) return;
        const [first] = (await once(spdy.socket.resume(), 'data')) as [Buffer];
        result = [spdy.protocol, first.toString()];
        spdy.socket.destroy();
      } catch (error) {
        result = (error as StatusError).code;
      }
    };
    proxy.send(upgradeRequest());
    await until('a result', () => result !== undefined);
    return result;
  }

  const head = (...fields: readonly string[]): string =>
    ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', ...fields, '', ''].join('\r\n');

  it('loses nothing of what a kubelet says in one packet with its answer', async () => {
    const answer = head('Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v4');
    expect(await opened(`${answer}frame`, ['v4'])).to.deep.equal(['v4', 'frame']);
  });

  it('takes a kubelet that names no protocol to mean the only one', async () => {
    expect(await opened(`${head('upgrade: spdy/3.1')}frame`, ['v4'])).to.deep.equal(['v4', 'frame']);
    expect(await opened(`${head('Upgrade: SPDY/3.1')}frame`, ['v4', 'v3'])).to.equal(500);
  });

  it('refuses a kubelet that speaks what it was not asked for', async () => {
    expect(await opened(head('Upgrade: websocket', 'X-Stream-Protocol-Version: v4'), ['v4'])).to.equal(500);
    expect(await opened(head('Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v2'), ['v4'])).to.equal(500);
  });
});
