import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { TlsSessions } from '../../lib/http/tls-sessions.js';

describe('http: TLS sessions to be resumed', () => {
  /** A handshake with an endpoint that gives a session. */
  function shake(sessions: TlsSessions, key: string): void {
    const socket = new TLSSocket(new PassThrough());
    sessions.keepFrom(socket, key);
    socket.emit('session', Buffer.from(key));
    socket.destroy();
  }

  it('are no more than there may be, and the oldest goes first', () => {
    const sessions = new TlsSessions(2);
    for (const key of ['a', 'b', 'a', 'c']) shake(sessions, key);
    const kept = ['a', 'b', 'c'].filter((key) => sessions.get(key) !== undefined);
    expect(kept).to.deep.equal(['a', 'c']);
  });

  it('are not listened for where none may be kept', () => {
    const socket = new TLSSocket(new PassThrough());
    new TlsSessions(0).keepFrom(socket, 'a');
    expect(socket.listenerCount('session')).to.equal(0);
    socket.destroy();
  });
});
