import { expect } from 'chai';
import { AbortSource } from '../lib/abortable-signal.js';

describe('AbortSource', () => {
  it('calls its listeners once, with its first reason in place', () => {
    const source = new AbortSource();
    const seen: unknown[] = [];
    source.addEventListener('abort', () => seen.push(source.reason));
    expect(source.aborted).to.equal(false);
    source.abort('first');
    source.abort('second');
    expect(source).to.include({ aborted: true, reason: 'first' });
    expect(seen).to.deep.equal(['first']);
  });

  it('does not call who has left, nor who leaves while it calls', () => {
    const source = new AbortSource();
    const seen: string[] = [];
    const left = () => seen.push('left');
    source.addEventListener('abort', left);
    source.removeEventListener('abort', left);
    const leaves = () => seen.push('leaves');
    source.addEventListener('abort', () => source.removeEventListener('abort', leaves));
    source.addEventListener('abort', leaves);
    source.abort(new Error('over'));
    expect(seen).to.deep.equal([]);
  });

  it('throws its reason, whatever that is, once it is aborted', () => {
    const source = new AbortSource();
    source.throwIfAborted();
    const reason = new Error('over');
    source.abort(reason);
    expect(() => source.throwIfAborted()).to.throw(reason);
  });
});
