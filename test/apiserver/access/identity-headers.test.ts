import { expect } from 'chai';
import { authorizationIn, isIdentity } from '../../../lib/apiserver/access/identity-headers.js';

const inSubprotocol = (token: string): string | undefined =>
  authorizationIn({
    'sec-websocket-protocol': `x, base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`,
  });

describe('apiserver: the headers that say who somebody is', () => {
  it('have a token in a subprotocol, where browsers put it', () => {
    expect(inSubprotocol('secret')).to.equal('Bearer secret');
    expect(authorizationIn({ 'sec-websocket-protocol': 'v4.channel.k8s.io' })).to.equal(undefined);
  });

  it('do not make who shows a token that is none an anonymous caller', () => {
    for (const token of ['', 'a b', 'a\r\nImpersonate-User: b', '\u00fc'])
      expect(inSubprotocol(token), token).to.equal('Bearer malformed');
  });

  it('are known in any spelling that a server may take for theirs', () => {
    for (const name of ['Authorization', 'impersonate_user', 'Impersonate-Extra-Scopes', 'X-Remote_Group'])
      expect(isIdentity(name), name).to.equal(true);
    for (const name of ['Authorization-Info', 'X-Impersonate-User', 'Remote-User', 'Cookie'])
      expect(isIdentity(name), name).to.equal(false);
  });
});
