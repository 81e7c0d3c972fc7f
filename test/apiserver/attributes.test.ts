import { expect } from 'chai';
import { attributesOf } from '../../lib/apiserver/attributes.js';
import { routeOf } from '../../lib/apiserver/routes.js';

function attributes(method: string, path: string) {
  const route = routeOf(path) ?? expect.fail(`${path} is no route`);
  return attributesOf(route, method);
}

describe('attributesOf', () => {
  it('are the verb of the method, the subresource and the name as it stands in the path', () => {
    expect(attributes('GET', '/api/v1/nodes/n:10250/proxy/logs/')).to.deep.equal([
      { verb: 'get', resource: 'nodes', subresource: 'proxy', name: 'n:10250' },
    ]);
    expect(attributes('PATCH', '/api/v1/namespaces/shop/services/https:s:web/proxy/')).to.deep.equal([
      { verb: 'patch', resource: 'services', subresource: 'proxy', namespace: 'shop', name: 'https:s:web' },
    ]);
    expect(attributes('GET', '/api/v1/namespaces/shop/pods/p/log')).to.deep.equal([
      { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'shop', name: 'p' },
    ]);
  });

  for (const [method, verb] of Object.entries({
    GET: 'get',
    HEAD: 'get',
    POST: 'create',
    PUT: 'update',
    PATCH: 'patch',
    DELETE: 'delete',
    OPTIONS: '*',
  })) {
    it(`take ${method} of a proxy for ${verb}`, () => {
      const [first, ...others] = attributes(method, '/api/v1/namespaces/shop/pods/p/proxy/');
      expect(first).to.include({ verb });
      expect(others).to.deep.equal([]);
    });
  }

  for (const subresource of ['exec', 'attach', 'portforward']) {
    it(`ask for get and create of a GET of ${subresource}, because that runs or reaches something`, () => {
      const path = `/api/v1/namespaces/shop/pods/p/${subresource}`;
      expect(attributes('GET', path).map(({ verb }) => verb)).to.deep.equal(['get', 'create']);
      expect(attributes('POST', path).map(({ verb }) => verb)).to.deep.equal(['create']);
    });
  }

  it('ask for create of an upgrade at a node, whose kubelet runs commands', () => {
    const route = routeOf('/api/v1/nodes/n/proxy/exec/ns/p/c') ?? expect.fail('no route');
    expect(attributesOf(route, 'GET', true).map(({ verb }) => verb)).to.deep.equal(['get', 'create']);
    const pod = routeOf('/api/v1/namespaces/ns/pods/p/proxy/') ?? expect.fail('no route');
    expect(attributesOf(pod, 'GET', true).map(({ verb }) => verb)).to.deep.equal(['get']);
  });

  for (const [method, path] of [
    ['TRACE', '/api/v1/nodes/n/proxy/'],
    ['CONNECT', '/api/v1/nodes/n/proxy/'],
    ['POST', '/api/v1/namespaces/shop/pods/p/log'],
    ['PUT', '/api/v1/namespaces/shop/pods/p/exec'],
    ['constructor', '/api/v1/nodes/n/proxy/'],
  ] as const) {
    it(`refuse ${method} of ${path}`, () => {
      expect(() => attributes(method, path))
        .to.throw('the server does not allow this method on the requested resource')
        .with.property('code', 405);
    });
  }
});
