import { expect } from 'chai';
import { once } from 'node:events';
import { describeFor } from '../../support/applicability.js';
import { until } from '../../support/dialer.js';
import { keptWatchOver, tcpTimers } from '../../support/tcp-timers.js';
import { ClusterStage } from '../cluster-stage.js';
import { upgradeToSpdy, Wire } from './wire.js';

const POD = '/api/v1/namespaces/shop/pods/cart';
const portOf = (url: string): number => Number(new URL(url).port);

/** A machine that has gone says nothing, and who only waits for it to speak would wait for ever. */
describeFor(tcpTimers, 'apiserverProxy: a machine that has gone without a word', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
    stage.kubelet.container('shop', 'cart', 'app').print('line');
  });

  afterEach(() => stage.end());

  const waiting: readonly (readonly [what: string, begin: () => Promise<unknown>])[] = [
    ['a log that it follows', async () => (await stage.begin(`${POD}/log?follow=true`)).on('error', () => 0)],
    ['a watch', async () => (await stage.begin('/api/v1/pods?watch=true')).on('error', () => 0)],
    ['exec over SPDY', () => upgradeToSpdy(stage, `${POD}/exec?command=cat&stdin=true`, 'v4.channel.k8s.io')],
    [
      'exec over WebSocket, translated',
      () => new Wire(stage, `${POD}/exec?command=cat&stdin=true`, 'v5.channel.k8s.io').opened(),
    ],
    ['a log over WebSocket', () => new Wire(stage, `${POD}/log?follow=true`, 'binary.k8s.io').opened()],
  ];

  for (const [what, begin] of waiting)
    it(`is found out by the kernel when it is a client that waits for ${what}`, async () => {
      await begin();
      const port = portOf(stage.url);
      // What was just sent has a timer of its own, until it is acknowledged.
      await until('the connection is silent', () => keptWatchOver('local', port).includes(true));
      expect(keptWatchOver('local', port)).to.deep.equal([true]);
    });

  it('is found out by the kernel when it is the upstream, of which a watch waits for news', async () => {
    const watch = await stage.begin('/api/v1/pods?watch=true');
    watch.on('error', () => undefined).resume();
    const port = portOf(stage.apiServer.url);
    await until('the connection is silent', () => keptWatchOver('remote', port).includes(true));
    expect(keptWatchOver('remote', port)).to.deep.equal([true]);
    watch.destroy();
    await once(watch, 'close');
  });
});
