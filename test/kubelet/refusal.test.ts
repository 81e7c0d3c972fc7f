import { expect } from 'chai';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { useFakeTimers, type SinonFakeTimers } from 'sinon';
import type { KubeletAccess } from '../../lib/kubelet/kubelet-access.js';
import { refusalIn } from '../../lib/kubelet/refusal.js';
import { rejection, turns } from '../support/dialer.js';

const access = { node: 'node-1', host: '10.0.0.11', port: 10_250 } as KubeletAccess;

describe('kubelet: a refusal', () => {
  let clock: SinonFakeTimers;
  let body: PassThrough;
  beforeEach(() => {
    clock = useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    body = new PassThrough();
  });
  afterEach(() => clock.restore());

  const response = (): IncomingMessage =>
    Object.assign(body, { statusCode: 401 }) as unknown as IncomingMessage;

  it('is told with as much of its text as comes within 5 s', async () => {
    const refusal = refusalIn(response(), access, new AbortController().signal);
    body.write('Unauth');
    await turns(2);
    clock.tick(5_000);
    expect(await refusal).to.include({ code: 'ERR_KUBELET_UNAUTHORIZED', text: 'Unauth', node: 'node-1' });
    expect(body.destroyed).to.equal(true);
  });

  it('is told without its text when that breaks off', async () => {
    const refusal = refusalIn(response(), access, new AbortController().signal);
    body.destroy(new Error('cut'));
    expect(await refusal).to.include({ code: 'ERR_KUBELET_UNAUTHORIZED', text: '' });
    expect(clock.countTimers()).to.equal(0);
  });

  it('is none when it was given up meanwhile', async () => {
    const reason = new Error('enough');
    const refusal = rejection(refusalIn(response(), access, AbortSignal.abort(reason)));
    body.end('Unauthorized');
    expect(await refusal).to.equal(reason);
  });
});
