import { expect } from 'chai';
import https from 'node:https';
import type { Backend } from '../../../lib/apiserver/backend.js';
import { reach } from '../../../lib/apiserver/services/reach.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';

describe('apiserver: what was looked up to find a backend', () => {
  async function isForgottenAfter(error: Error | undefined): Promise<boolean> {
    let isForgotten = false;
    const backend: Backend = {
      scheme: 'https',
      host: '10.0.0.1',
      port: 443,
      authority: '10.0.0.1',
      agent: https.globalAgent,
      connect: () => Promise.reject(new Error('not needed')),
      onUnreachable: () => (isForgotten = true),
    };
    const acted = reach(backend, () =>
      error === undefined ? Promise.resolve('done') : Promise.reject(error),
    );
    expect(await acted.catch((thrown: unknown) => thrown)).to.equal(error ?? 'done');
    return isForgotten;
  }

  it('is forgotten when it cannot be reached, by a plain request or an upgrade', async () => {
    expect(await isForgottenAfter(new StatusError(503, 'ServiceUnavailable', 'plain'))).to.equal(true);
    expect(await isForgottenAfter(new StatusError(500, '', 'error dialing backend'))).to.equal(true);
    expect(await isForgottenAfter(new Error('anything'))).to.equal(true);
  });

  it('is kept when it answers, and when the request is refused before', async () => {
    expect(await isForgottenAfter(undefined)).to.equal(false);
    expect(await isForgottenAfter(new StatusError(400, 'BadRequest', 'no'))).to.equal(false);
  });
});
