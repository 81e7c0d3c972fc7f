import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TunnelDialer } from '../../lib/index.js';
import { readAll } from '../support/dialer.js';
import {
  startAnswerAfterEnd,
  startEarlyEnd,
  startEndpoint,
  startReset,
  startSink,
} from '../support/endpoints.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import type { Sshd } from '../support/sshd.js';
import { readText, Stage } from './stage.js';

const BYTES = 300_000;

describe('half-close through a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let dialer: TunnelDialer;

  before(async () => {
    sshd = await shared.sshd();
    dialer = shared.dialer(sshd);
  });
  after(() => shared.end());
  afterEach(() => stage.end());

  it('an endpoint still answers after our end()', async () => {
    const endpoint = await stage.use(startAnswerAfterEnd('the answer', sshd));
    const socket = await stage.dial(dialer, endpoint);
    socket.end('a question');
    expect(await readText(socket)).to.equal('the answer');
  });

  it('everything written before end() arrives, and then the end', async () => {
    const sink = await stage.use(startSink(sshd));
    const socket = await stage.dial(dialer, sink);
    patternStream(BYTES).pipe(socket);
    expect(await readText(socket)).to.equal(patternSha256(BYTES));
    expect(sink.received).to.deep.equal([{ bytes: BYTES, sha256: patternSha256(BYTES), ended: true }]);
  });

  it("an endpoint's FIN arrives as 'end' while our side stays open", async () => {
    const served: Promise<string>[] = [];
    const endpoint = await stage.use(
      startEndpoint((peer) => {
        served.push(readText(peer));
        peer.end('greeting');
      }, sshd),
    );
    const socket = await stage.dial(dialer, endpoint, { allowHalfOpen: true });
    expect(await readText(socket)).to.equal('greeting');
    expect(socket).to.include({
      readableEnded: true,
      writable: true,
      destroyed: false,
      readyState: 'writeOnly',
    });
    const closed = once(socket, 'close');
    socket.end('said after the end');
    expect(await served[0]).to.equal('said after the end');
    await closed;
  });

  it("an endpoint's FIN ends our side, too, unless told otherwise", async () => {
    const endpoint = await stage.use(startEarlyEnd('greeting', sshd));
    const accepted = endpoint.nextConnection();
    const socket = await stage.dial(dialer, endpoint);
    const peer = await accepted;
    const peerEnded = once(peer, 'end');
    const closed = once(socket, 'close');
    expect(await readText(socket)).to.equal('greeting');
    await Promise.all([peerEnded, closed]);
  });

  it('a stream that was ended on both sides closes without an error, and its endpoint too', async () => {
    const endpoint = await stage.use(startAnswerAfterEnd('bye', sshd));
    const accepted = endpoint.nextConnection();
    const socket = await stage.dial(dialer, endpoint);
    const peer: Socket = await accepted;
    const closed = once(socket, 'close');
    const peerClosed = once(peer, 'close') as Promise<[hadError: boolean]>;
    socket.end();
    socket.resume();
    await closed;
    expect(await peerClosed).to.deep.equal([false]);
    expect(socket.errored).to.equal(null);
  });

  it('what arrived before an endpoint reset its connection is given out, and then the stream is over', async () => {
    const endpoint = await stage.use(startReset(1000, sshd));
    const socket = await stage.dial(dialer, endpoint);
    const closed = once(socket, 'close');
    socket.write('?');
    expect((await readAll(socket)).length).to.be.at.most(1000);
    await closed;
  });
});
