import { expect } from 'chai';
import { channel, hasSubscribers, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { AuthenticationError, EndpointError, NoRouteError, TransportError } from '../lib/errors.js';
import type { SshNode } from '../lib/testing/index.js';
import { eventNames, Listening } from './support/diagnostics.js';
import { Lab, rejection, roundTrip, turns, uncaughtDuring, until, type Endpoint } from './support/dialer.js';

const never = { minMs: 60_000, maxMs: 60_000 };

describe('diagnostics_channel', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
    // Whatever this file listened with is gone, and the library listens to nothing of its own.
    for (const name of eventNames) expect(hasSubscribers(name), name).to.equal(false);
  });

  describe('a dial', () => {
    it('is told of at its start, and at its end with the node and how long it took', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node]);
      await dialer.ready();
      await dialer.dial('127.0.0.1', endpoint.port);
      const [start] = told.messages('tunnel-dialer:dial:start');
      const [end] = told.messages('tunnel-dialer:dial:end');
      expect(start).to.include({ dialer, host: '127.0.0.1', port: endpoint.port });
      expect(start?.id).to.be.a('number');
      const { durationMs, ...rest } = end!;
      expect(rest).to.deep.equal({ ...start, node: 'node-1' });
      expect(durationMs).to.be.at.least(0);
      expect(told.messages('tunnel-dialer:dial:error')).to.deep.equal([]);
    });

    it('that fails is told of with the very error that the caller gets', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node]);
      node.faults.refuse({ reason: 2 });
      const error = await rejection(dialer.dial('127.0.0.1', endpoint.port));
      expect(error).to.be.an.instanceOf(EndpointError);
      const [start] = told.messages('tunnel-dialer:dial:start');
      const [failed] = told.messages('tunnel-dialer:dial:error');
      expect(failed).to.include({ ...start });
      expect(failed?.error).to.equal(error);
      expect(failed?.durationMs).to.be.at.least(0);
      expect(told.messages('tunnel-dialer:dial:end')).to.deep.equal([]);
    });

    it('is told of when it fails before any node was asked, or its caller gave up', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node]);
      const unrouted = await rejection(dialer.dial('127.0.0.1', 1, { node: 'nobody' }));
      const reason = new Error('not any more');
      await rejection(dialer.dial('127.0.0.1', 1, { signal: AbortSignal.abort(reason) }));
      await dialer.close();
      const closed = await rejection(dialer.dial('127.0.0.1', 1));
      expect(unrouted).to.be.an.instanceOf(NoRouteError);
      const errors = told.messages('tunnel-dialer:dial:error').map(({ error }) => error);
      expect(errors).to.deep.equal([unrouted, reason, closed]);
      expect(told.messages('tunnel-dialer:dial:start')).to.have.length(3);
    });

    it('is none when its arguments are wrong', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node], { pool: { minConnections: 0 } });
      await rejection(dialer.dial('not a host', 1));
      expect(told.namesOf(dialer)).to.deep.equal([]);
    });

    it('has a number of its own, and a dialer, so that those under way at once are told apart', async () => {
      const told = new Listening(lab);
      const dialers = [lab.dialer([node]), lab.dialer([node])];
      const dials = dialers.flatMap((dialer) => [1, 2].map(() => dialer.dial('127.0.0.1', endpoint.port)));
      await Promise.all(dials);
      const starts = told.messages('tunnel-dialer:dial:start');
      const ends = told.messages('tunnel-dialer:dial:end');
      expect(new Set(starts.map(({ id }) => id))).to.have.property('size', 4);
      for (const end of ends) expect(starts.find(({ id }) => id === end.id)?.dialer).to.equal(end.dialer);
      for (const dialer of dialers) {
        expect(ends.filter((message) => message.dialer === dialer)).to.have.length(2);
      }
    });

    it('is told of to somebody who listens to its end only', async () => {
      const told = new Listening(lab, ['tunnel-dialer:dial:end']);
      const dialer = lab.dialer([node]);
      await dialer.dial('127.0.0.1', endpoint.port);
      expect(told.namesOf(dialer)).to.deep.equal(['dial:end']);
    });
  });

  describe('a connection', () => {
    it('is told of from the handshake to its close, with what it carried', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node]);
      await dialer.ready();
      await dialer.close();
      expect(told.namesOf(dialer)).to.deep.equal([
        'connection:connecting',
        'connection:ready',
        'connection:closed',
      ]);
      const [connecting] = told.messages('tunnel-dialer:connection:connecting');
      const { address, port } = node.spec;
      expect(connecting).to.deep.include({ dialer, node: 'node-1', address, port });
      const [ready] = told.messages('tunnel-dialer:connection:ready');
      expect(ready).to.include({ ...connecting });
      expect(ready?.durationMs).to.be.above(0);
      const [closed] = told.messages('tunnel-dialer:connection:closed');
      expect(closed).to.include({ ...connecting });
      expect(closed?.bytesReceived).to.be.above(500);
      expect(closed?.bytesSent).to.be.above(500);
    });

    it('that is lost is told of with the error, and so is its replacement', async () => {
      const told = new Listening(lab);
      const dialer = lab.dialer([node]);
      await dialer.ready();
      node.cut('rst');
      await until('the replacement', () => told.messages('tunnel-dialer:connection:ready').length === 2);
      expect(told.namesOf(dialer)).to.deep.equal([
        'connection:connecting',
        'connection:ready',
        'connection:lost',
        'connection:connecting',
        'connection:ready',
      ]);
      const [lost] = told.messages('tunnel-dialer:connection:lost');
      expect(lost?.error).to.be.an.instanceOf(TransportError);
      const [first, second] = told.messages('tunnel-dialer:connection:ready');
      expect(lost?.id).to.equal(first?.id);
      expect(second?.id).to.not.equal(first?.id);
      expect([first, second].map((message) => message?.isReconnect)).to.deep.equal([false, true]);
    });

    it('that cannot be made is told of with the error', async () => {
      const told = new Listening(lab);
      node.faults.rejectKey();
      const dialer = lab.dialer([node], { reconnect: never });
      const error = await rejection(dialer.ready());
      const [failed] = told.messages('tunnel-dialer:connection:failed');
      expect(told.namesOf(dialer)).to.deep.equal(['connection:connecting', 'connection:failed']);
      expect(failed?.error).to.be.an.instanceOf(AuthenticationError).and.to.equal(error);
    });

    it('that is given up is closed, and not told of at all while it still waits for its turn', async () => {
      const told = new Listening(lab);
      const other = await lab.node({ name: 'other' });
      node.faults.stallHandshake();
      other.faults.stallHandshake();
      const dialer = lab.dialer([node, other], { reconnect: { maxHandshakes: 1 } });
      await node.until(({ connections }) => connections === 1);
      dialer.destroy();
      await turns(3);
      expect(told.namesOf(dialer)).to.deep.equal(['connection:connecting', 'connection:closed']);
      expect(told.messages('tunnel-dialer:connection:closed')[0]).to.include({
        node: 'node-1',
        durationMs: 0,
      });
    });
  });

  it('makes and publishes nothing when nobody listens', async () => {
    const channels = eventNames.map((name) => channel(name));
    const published: unknown[] = [];
    for (const one of channels) one.publish = (message) => void published.push(message);
    lab.onEnd(() => channels.forEach((one) => Reflect.deleteProperty(one, 'publish')));
    const dialer = lab.dialer([node]);
    const errored = once(await dialer.dial('127.0.0.1', endpoint.port), 'error');
    node.cut('rst');
    await errored;
    await until('the replacement', () => dialer.status().nodes[0]?.counts.connected === 2);
    node.faults.refuse({ reason: 2 });
    await rejection(dialer.dial('127.0.0.1', endpoint.port));
    await dialer.close();
    expect(published).to.deep.equal([]);
  });

  it('does not tell of a dial that began before somebody listened', async () => {
    const dialer = lab.dialer([node]);
    await dialer.ready();
    const dialling = dialer.dial('127.0.0.1', endpoint.port);
    const told = new Listening(lab);
    await dialling;
    expect(told.namesOf(dialer)).to.deep.equal([]);
  });

  it('leaves dials and connections unharmed by subscribers that throw', async () => {
    const thrown = new Error('thrown by a subscriber');
    const fail = (): void => {
      throw thrown;
    };
    for (const name of eventNames) subscribe(name, fail);
    lab.onEnd(() => eventNames.forEach((name) => unsubscribe(name, fail)));
    const dialer = lab.dialer([node]);
    const uncaught = await uncaughtDuring(async () => {
      const stream = await dialer.dial('127.0.0.1', endpoint.port);
      await roundTrip(stream);
      const errored = once(stream, 'error');
      node.cut('rst');
      await errored;
      await until('the replacement', () => dialer.status().nodes[0]?.counts.connected === 2);
      const second = await dialer.dial('127.0.0.1', endpoint.port);
      await roundTrip(second);
      second.destroy();
      node.faults.refuse({ reason: 2 });
      expect(await rejection(dialer.dial('127.0.0.1', endpoint.port))).to.be.an.instanceOf(EndpointError);
      dialer.destroy();
    });
    // 3 starts, 2 ends, 1 error; 2 connections that became ready, of which one was lost and one closed.
    expect(uncaught).to.deep.equal(new Array(12).fill(thrown));
  });

  it('lets a subscriber destroy the dialer from within a message', async () => {
    const dialer = lab.dialer([node]);
    await dialer.ready();
    const destroy = (): void => dialer.destroy();
    subscribe('tunnel-dialer:connection:lost', destroy);
    lab.onEnd(() => unsubscribe('tunnel-dialer:connection:lost', destroy));
    node.cut('rst');
    await until('the end', () => dialer.status().state === 'closed');
    await dialer.close();
    await node.until(({ connections }) => connections === 0);
  });

  it('shows no key, passphrase or data in its messages', async () => {
    const told = new Listening(lab);
    const dialer = lab.dialer([node]);
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    await roundTrip(stream, 'what goes through');
    stream.destroy();
    await dialer.close();
    const shown = eventNames.map((name) =>
      inspect(told.messages(name), { depth: Infinity, showHidden: true, maxArrayLength: null }),
    );
    const secrets = node.ssh.privateKey
      .split('\n')
      .filter((line) => line.length > 30 && !line.includes('-----'));
    expect(secrets).to.not.be.empty;
    for (const secret of [...secrets, 'what goes through']) {
      expect(shown.filter((text) => text.includes(secret))).to.deep.equal([]);
    }
  });
});
