import { expect } from 'chai';
import { createRequire } from 'node:module';
import { StreamingError } from '../../../lib/kubelet/streaming/errors.js';
import { loadWs } from '../../../lib/kubelet/streaming/load-ws.js';

describe('kubelet: the package ws', () => {
  it('that is not installed is named', () => {
    const elsewhere = createRequire('/');
    expect(() => loadWs(elsewhere))
      .to.throw(StreamingError, /npm install ws/)
      .with.property('code', 'ERR_KUBELET_NO_WS');
  });

  it('that is broken is not taken for one that is missing', () => {
    const broken = new Error("Cannot find module 'bufferutil'");
    const failing = (): never => {
      throw Object.assign(broken, { code: 'MODULE_NOT_FOUND' });
    };
    expect(() => loadWs(failing)).to.throw(broken);
  });
});
