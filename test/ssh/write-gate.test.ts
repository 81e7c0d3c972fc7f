import { expect } from 'chai';
import { WriteGate } from '../../lib/ssh/write-gate.js';

function createGate(canWrite = true) {
  const signals = { open: canWrite };
  const sent: string[] = [];
  let turns = 0;
  const gate = new WriteGate({
    canWrite: () => signals.open,
    whenFlushed: (done) => done(),
    onSent: () => (turns += 1),
  });
  const pass = (name: string) => {
    const send = () => void sent.push(name);
    gate.pass(send);
    return send;
  };
  return { gate, signals, sent, pass, turns: () => turns };
}

describe('WriteGate', () => {
  it('lets a write through at once while the connection takes it', () => {
    const { sent, pass } = createGate();
    pass('a');
    expect(sent).to.deep.equal(['a']);
  });

  it('tells of every turn when it is over', () => {
    const { gate, signals, pass, turns } = createGate();
    pass('a');
    signals.open = false;
    pass('b');
    expect(turns()).to.equal(1);
    signals.open = true;
    gate.open();
    expect(turns()).to.equal(2);
  });

  it('holds writes back while the connection is full, and lets them go in the order in which they came', () => {
    const { gate, signals, sent, pass } = createGate(false);
    for (const name of ['a', 'b', 'c']) pass(name);
    gate.open();
    expect(sent).to.deep.equal([]);
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['a', 'b', 'c']);
  });

  it('does not let a newcomer overtake those who wait, though the connection would take it', () => {
    const { gate, signals, sent, pass } = createGate(false);
    pass('a');
    signals.open = true;
    pass('b');
    expect(sent).to.deep.equal([]);
    gate.open();
    expect(sent).to.deep.equal(['a', 'b']);
  });

  it('stops in between when the connection is full again, and goes on there the next time', () => {
    const { gate, signals, sent, pass } = createGate(false);
    gate.pass(() => {
      sent.push('a');
      signals.open = false;
    });
    pass('b');
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['a']);
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['a', 'b']);
  });

  it('has a write that queues its next part wait behind the others', () => {
    const { gate, signals, sent, pass } = createGate(false);
    const second = () => void sent.push('a2');
    gate.pass(() => {
      sent.push('a1');
      gate.pass(second);
    });
    pass('b');
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['a1', 'b', 'a2']);
  });

  it('gives up a turn that has not come', () => {
    const { gate, signals, sent, pass } = createGate(false);
    const a = pass('a');
    pass('b');
    gate.cancel(a);
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['b']);
  });

  it('takes no harm from a turn that gives up the next one', () => {
    const { gate, signals, sent, pass } = createGate(false);
    let next = (): void => undefined;
    gate.pass(() => gate.cancel(next));
    next = pass('b');
    pass('c');
    signals.open = true;
    gate.open();
    expect(sent).to.deep.equal(['c']);
  });

  it('lets writes through at once again when nobody waits any more', () => {
    const { gate, signals, sent, pass } = createGate(false);
    gate.cancel(pass('a'));
    signals.open = true;
    pass('b');
    expect(sent).to.deep.equal(['b']);
  });
});
