import { expect } from 'chai';
import {
  joinPath,
  parseTarget,
  redirectsToSlash,
  slashLocation,
  splitTarget,
} from '../../../lib/apiserver/plain/request-target.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';

const split = (target: string) => splitTarget(parseTarget(target), 5);

describe('apiserver: the target of a request', () => {
  it('AC-24: dot segments and repeated slashes do not reach the backend, a slash at the end does', () => {
    expect(joinPath('/a/../b//c/')).to.equal('/b/c/');
    expect(joinPath('/a/b')).to.equal('/a/b');
    expect(joinPath('/a/./b/.')).to.equal('/a/b');
    expect(joinPath('')).to.equal('/');
    expect(joinPath('/')).to.equal('/');
    expect(joinPath('//')).to.equal('/');
  });

  it('AC-24: no path leads out of the backend, however it is spelt', () => {
    for (const rest of [
      '/..',
      '/../../x',
      '/a/../../../x',
      '/%2e%2e/x',
      '/%2E%2e%2f%2E./x',
      '/..%2fx',
      '/.%2e//x',
    ]) {
      const path = joinPath(split(`/api/v1/nodes/n/proxy${rest}`).rest);
      expect(path, rest).to.match(/^\/x?$/);
    }
  });

  it('is unescaped once and escaped as Go does it, byte for byte', () => {
    const rest = (target: string): string => joinPath(split(`/api/v1/nodes/n/proxy${target}`).rest);
    expect(rest('/%252e%252e/x')).to.equal('/%252e%252e/x');
    expect(rest('/%00<script>')).to.equal('/%00%3Cscript%3E');
    expect(rest("/a(b)!*'")).to.equal('/a%28b%29%21%2A%27');
    expect(rest('/%c3%a9/%ff')).to.equal('/%C3%A9/%FF');
    expect(rest('/a%0d%0ab%20c')).to.equal('/a%0D%0Ab%20c');
    expect(rest('/a%2Fb%3Fc%23d')).to.equal('/a/b%3Fc%23d');
    expect(rest('/a#b')).to.equal('/a%23b');
    expect(rest('/-_.~$&+,:;=@')).to.equal('/-_.~$&+,:;=@');
  });

  it('is split behind the subresource, and the prefix is escaped', () => {
    expect(split('/api/v1/nodes/n:1/proxy')).to.deep.equal({ prefix: '/api/v1/nodes/n:1/proxy', rest: '' });
    expect(split('/api/v1/nodes/n/proxy/').rest).to.equal('/');
    expect(split('/api/v1/nodes/https%3An%3A1/proxy/x').prefix).to.equal('/api/v1/nodes/https:n:1/proxy');
    expect(split('/api/v1/nodes/n%20<m/proxy/x').prefix).to.equal('/api/v1/nodes/n%20%3Cm/proxy');
    expect(split('/api/v1/nodes/n/proxy/a//b/').rest).to.equal('/a//b/');
  });

  it('has a query that stays as it is', () => {
    expect(parseTarget('/a?b=%zz&c=../d?e#f').query).to.equal('?b=%zz&c=../d?e#f');
    expect(parseTarget('/a?').query).to.equal('?');
  });

  it('may be absolute', () => {
    const target = parseTarget('http://example.com:80/a/b?c');
    expect(target).to.deep.equal({
      path: '/a/b',
      query: '?c',
      absolute: { scheme: 'http', host: 'example.com:80' },
    });
    expect(parseTarget('http://example.com').path).to.equal('/');
  });

  it('does not begin with the name of an API when a slash too many is before it', () => {
    expect(splitTarget(parseTarget('//api/v1'), 2)).to.deep.equal({ prefix: '//api', rest: '/v1' });
  });

  it('that is malformed is a bad request', () => {
    for (const target of [
      '',
      '*',
      'a',
      'host:80',
      '/%',
      '/%zz',
      '/%2',
      'ftp://a/b',
      'http:///a',
      'http://u@h/',
    ])
      expect(() => parseTarget(target), target)
        .to.throw(StatusError)
        .that.includes({ code: 400 });
  });

  it('AC-12: GET and HEAD of the subresource itself are sent to the same with a slash, others are not', () => {
    for (const method of ['GET', 'HEAD']) expect(redirectsToSlash(method, ''), method).to.equal(true);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      expect(redirectsToSlash(method, ''), method).to.equal(false);
    expect(redirectsToSlash('GET', '/')).to.equal(false);
    expect(slashLocation(parseTarget('/api/v1/nodes/n/proxy?method=GET'))).to.equal(
      '/api/v1/nodes/n/proxy/?method=GET',
    );
    expect(slashLocation(parseTarget('/api/v1/nodes/n%0d%0aX:y/proxy'))).to.equal(
      '/api/v1/nodes/n%0D%0AX:y/proxy/',
    );
  });
});
