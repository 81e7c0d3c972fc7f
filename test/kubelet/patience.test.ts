import { expect } from 'chai';
import { ClosedError, TransportError } from '../../lib/index.js';
import { KubeletCertificateError, KubeletError } from '../../lib/kubelet/index.js';
import { Patience } from '../../lib/kubelet/patience.js';

const lost = new TransportError('ERR_TUNNEL_LOST', 'lost');
const options = { retryMinMs: 10, retryMaxMs: 40, giveUpMs: 1000 };

describe('kubelet: patience with a log that is cut', () => {
  it('asks again at once what went on, and after the shortest wait what is cut all the time', () => {
    let now = 5000;
    const patience = new Patience(options, () => now);
    const waits = [0, 9, 9, 10, 9].map((laterMs) => {
      now += laterMs;
      return patience.after(lost, true);
    });
    expect(waits).to.deep.equal([0, 10, 10, 0, 10]);
  });

  it('waits longer and longer within its bounds, and gives up in time', () => {
    let now = 5000;
    const patience = new Patience(options, () => now);
    for (let wait = patience.after(lost, false); wait !== undefined; wait = patience.after(lost, false)) {
      expect(wait).to.be.within(1, 40);
      now += wait;
    }
    expect(now).to.equal(6000);
  });

  it('begins anew when the log has gone on', () => {
    let now = 0;
    const patience = new Patience(options, () => now);
    patience.after(lost, false);
    now = 900;
    patience.after(lost, true);
    now = 1800;
    expect(patience.after(lost, false)).to.be.within(10, 20);
  });

  for (const refusal of [new KubeletError(404, 'no pod'), new KubeletCertificateError('another')]) {
    it(`takes five refusals in a row, and no sixth: ${refusal.name}`, () => {
      const patience = new Patience(options, () => 0);
      for (let count = 0; count < 5; count += 1) expect(patience.after(refusal, false)).to.be.a('number');
      expect(patience.after(refusal, false)).to.equal(undefined);
    });
  }

  it('takes a kubelet that is in trouble for one that is out of reach', () => {
    const patience = new Patience(options, () => 0);
    for (let count = 0; count < 50; count += 1)
      expect(patience.after(new KubeletError(500, 'no runtime'), false)).to.be.a('number');
  });

  it('has none with a dialer that is closed', () => {
    expect(new Patience(options).after(new ClosedError('closed'), true)).to.equal(undefined);
  });
});
