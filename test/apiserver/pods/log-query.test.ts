import { expect } from 'chai';
import { logRequestOf } from '../../../lib/apiserver/pods/log-query.js';

const parametersOf = (query: string): string =>
  logRequestOf('p', new URLSearchParams(query)).parameters.toString();

describe('logRequestOf', () => {
  it('gives the kubelet what it knows, in its words, and nothing else', () => {
    const request = logRequestOf(
      'p',
      new URLSearchParams(
        'container=web&follow=true&tailLines=5&pretty=true&insecureSkipTLSVerifyBackend=true',
      ),
    );
    expect(request).to.include({ container: 'web', follow: true });
    expect(request.parameters.toString()).to.equal('follow=true&tailLines=5');
    expect(parametersOf('previous=1&timestamps=yes&limitBytes=10&sinceSeconds=3')).to.equal(
      'previous=true&timestamps=true&sinceSeconds=3&limitBytes=10',
    );
    expect(parametersOf('sinceTime=2026-01-02T03:04:05Z')).to.equal('sinceTime=2026-01-02T03%3A04%3A05Z');
  });

  it('reads booleans as Kubernetes does', () => {
    expect(parametersOf('follow=false&previous=0&timestamps=')).to.equal('timestamps=true');
    expect(parametersOf('follow=False&previous=no')).to.equal('previous=true');
  });

  for (const [query, problem] of [
    ['tailLines=-1', 'tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['limitBytes=0', 'limitBytes: Invalid value: 0: must be greater than 0'],
    ['sinceSeconds=0', 'sinceSeconds: Invalid value: 0: must be greater than 0'],
    [
      'sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z',
      'sinceSeconds: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
  ] as const) {
    it(`AC-47: refuses ${query} with 422`, () => {
      expect(() => parametersOf(query))
        .to.throw(`PodLogOptions "p" is invalid: ${problem}`)
        .with.property('code', 422);
    });
  }

  it('names all that is wrong', () => {
    expect(() => parametersOf('tailLines=-1&limitBytes=0')).to.throw(
      'is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0]',
    );
  });

  for (const query of [
    'tailLines=x',
    'tailLines=1e3',
    'tailLines=99999999999999999999',
    'limitBytes=1.5',
    'sinceTime=yesterday',
    'sinceTime=2026-13-41T99:99:99Z',
  ]) {
    it(`refuses ${query} with 400`, () => {
      expect(() => parametersOf(query))
        .to.throw()
        .with.property('code', 400);
    });
  }
});
