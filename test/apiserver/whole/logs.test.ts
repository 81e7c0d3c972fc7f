import { expect } from 'chai';
import { until } from '../../support/dialer.js';
import { ClusterStage } from '../cluster-stage.js';
import { putKubelet, Wire } from './wire.js';

const LOG = '/api/v1/namespaces/shop/pods/cart/log';

interface Status {
  readonly code: number;
  readonly reason?: string;
  readonly message: string;
}

describe('apiserverProxy: logs through all of it', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
  });

  afterEach(async () => {
    await stage.end();
  });

  describe('AC-36: over WebSocket', () => {
    it('come as binary messages, to the end of the log', async () => {
      const app = stage.kubelet.container('shop', 'cart', 'app');
      app.print('container is alive');
      app.end();
      const wire = new Wire(stage, LOG, 'binary.k8s.io');
      expect(await wire.closed).to.equal(1000);
      expect(wire.protocol).to.equal('binary.k8s.io');
      expect(wire.messages.every(({ isBinary }) => isBinary)).to.equal(true);
      const all = Buffer.concat(wire.messages.map(({ bytes }) => bytes));
      expect(all.toString()).to.equal('container is alive\n');
      await until('the end', () => stage.proxy.underWay === 0);
    });

    it('come while they are followed, and the kubelet is left when the client is gone', async () => {
      const app = stage.kubelet.container('shop', 'cart', 'app');
      const wire = new Wire(stage, `${LOG}?follow=true`, 'base64.binary.k8s.io');
      const heard = (): string =>
        wire.messages.map(({ bytes }) => Buffer.from(bytes.toString(), 'base64').toString()).join('');
      app.print('first');
      await until('the first line', () => heard() === 'first\n');
      app.print('second');
      await until('the second line', () => heard() === 'first\nsecond\n');
      expect(stage.kubelet.open.logs).to.equal(1);
      wire.socket.terminate();
      await until('the end', () => stage.kubelet.open.logs === 0 && stage.proxy.underWay === 0);
    });

    it('are nothing of a pod that has no node yet', async () => {
      const wire = new Wire(stage, LOG.replace('cart', 'unscheduled'), 'binary.k8s.io');
      expect(await wire.closed).to.equal(1000);
      expect(wire.messages.every(({ bytes }) => bytes.length === 0)).to.equal(true);
    });

    it('are refused with a Status in place of the upgrade, as over HTTP', async () => {
      for (const [path, status] of [
        [LOG.replace('cart', 'none'), 404],
        [`${LOG}?tailLines=-1`, 422],
        [`${LOG}?previous=true`, 400],
      ] as const) {
        const refused = await new Wire(stage, path, 'binary.k8s.io').refused();
        expect(refused.status, path).to.equal(status);
        expect(JSON.parse(refused.body)).to.include({ kind: 'Status', code: status });
      }
    });
  });

  describe('AC-47: what the kubelet says in place of a log', () => {
    async function startWith(head: string, body = ''): Promise<(string | undefined)[]> {
      await stage.end();
      stage = await ClusterStage.start({ proxy: { kubelet: { insecureSkipTLSVerify: true } } });
      const asked: (string | undefined)[] = [];
      await putKubelet(stage, ({ url }, answer) => {
        asked.push(url);
        answer(head, body);
      });
      return asked;
    }

    async function statusOf(path = LOG): Promise<Status> {
      const { status, headers, body } = await stage.ask(path);
      expect(headers['content-type']).to.equal('application/json');
      const told = JSON.parse(body) as Status;
      expect(told.code).to.equal(status);
      return told;
    }

    it('is a bad request when it says 400, in its own words', async () => {
      expect(await statusOf(`${LOG}?previous=true`)).to.include({
        code: 400,
        reason: 'BadRequest',
        message: 'previous terminated container "app" in pod "cart" not found',
      });
    });

    it('is an internal error when it says 500, with its words', async () => {
      await startWith('500 Internal Server Error', 'no space left');
      expect(await statusOf()).to.include({
        code: 500,
        reason: 'InternalError',
        message: 'Internal error occurred: no space left',
      });
    });

    it('keeps its code when it says another, and has the reason that goes with it', async () => {
      await startWith('404 Not Found', 'no such pod');
      const { code, reason, message } = await statusOf();
      expect({ code, reason }).to.deep.equal({ code: 404, reason: 'NotFound' });
      expect(message).to.contain('no such pod');
    });

    it('keeps its code when no reason goes with it', async () => {
      await startWith('418 Teapot', 'short and stout');
      const { code, message } = await statusOf();
      expect(code).to.equal(418);
      expect(message).to.contain('short and stout');
    });

    for (const [bytes, told] of [
      [49_999, 49_999],
      [50_000, 50_000],
      [50_001, 50_000],
      [5_000_000, 50_000],
    ] as const) {
      it(`is told up to 50 000 bytes of ${bytes}`, async () => {
        await startWith('400 Bad Request', 'x'.repeat(bytes));
        const { message } = await statusOf();
        expect(message.length).to.equal(told);
        expect(message).to.match(/^x+$/);
      });
    }

    for (const code of [301, 302, 303, 307, 308]) {
      it(`is an error when it redirects by ${code}, and is not followed`, async () => {
        const asked = await startWith(`${code} Elsewhere\r\nLocation: /pods`);
        const { code: told, message } = await statusOf();
        expect(told).to.equal(500);
        expect(message).to.contain('redirect');
        expect(asked).to.deep.equal(['/containerLogs/shop/cart/app']);
      });
    }

    it('is 503 when it is down', async () => {
      await stage.kubelet.close();
      expect(await statusOf()).to.include({ code: 503, reason: 'ServiceUnavailable' });
    });
  });
});
