import { expect } from 'chai';
import { routeOf } from '../../lib/apiserver/routes.js';

describe('routeOf', () => {
  it('knows the proxies, whatever comes behind them', () => {
    expect(routeOf('/api/v1/nodes/n:10250/proxy/logs/a%2Fb/')).to.deep.equal({
      kind: 'node-proxy',
      target: 'n:10250',
      prefix: '/api/v1/nodes/n:10250/proxy',
    });
    expect(routeOf('/api/v1/namespaces/shop/pods/https:p:443/proxy')).to.deep.equal({
      kind: 'pod-proxy',
      namespace: 'shop',
      target: 'https:p:443',
      prefix: '/api/v1/namespaces/shop/pods/https:p:443/proxy',
    });
    expect(routeOf('/api/v1/namespaces/shop/services/s/proxy/')).to.include({
      kind: 'service-proxy',
      target: 's',
    });
    expect(routeOf('/api/v1/namespaces/shop/services/s/proxy/a/../b//c/')).to.include({
      prefix: '/api/v1/namespaces/shop/services/s/proxy',
    });
  });

  it('decodes names, which kubectl encodes', () => {
    expect(routeOf('/api/v1/nodes/https%3An%3A10250/proxy/')).to.include({ target: 'https:n:10250' });
    expect(routeOf('/api/v1/nodes/%3Aasdf/proxy/')).to.include({ target: ':asdf' });
  });

  for (const [subresource, kind] of [
    ['log', 'pod-log'],
    ['exec', 'pod-exec'],
    ['attach', 'pod-attach'],
    ['portforward', 'pod-portforward'],
  ]) {
    it(`knows ${subresource} of a pod`, () => {
      expect(routeOf(`/api/v1/namespaces/shop/pods/cart-1/${subresource}`)).to.deep.equal({
        kind,
        namespace: 'shop',
        name: 'cart-1',
      });
    });
  }

  for (const path of [
    '/',
    '',
    '*',
    '/api/v1',
    '/api/v1/nodes',
    '/api/v1/nodes/n',
    '/api/v1/nodes/n/status',
    '/api/v1/nodes//proxy/x',
    '/api/v1/nodes/../proxy/x',
    '/api/v1/nodes/%2e%2e/proxy/x',
    '/api/v1/nodes/a%2Fb/proxy/x',
    '/api/v1/nodes/a%5Cb/proxy/x',
    '/api/v1/nodes/a%252Fb/proxy/x',
    '/api/v1/nodes/a%00b/proxy/x',
    '/api/v1/nodes/%zz/proxy/x',
    '/api/v1/nodes/%ff/proxy/x',
    '//api/v1/nodes/n/proxy/',
    '/api//v1/nodes/n/proxy/',
    '/api/v1/namespaces/shop/pods/p/log/',
    '/api/v1/namespaces/shop/pods/p/logs',
    '/api/v1/namespaces/shop/pods/p/toString',
    '/api/v1/namespaces/shop/pods/p/__proto__',
    '/api/v1/namespaces/shop/services/s/log',
    '/api/v1/namespaces/shop/configmaps/s/proxy/',
    '/api/v1/namespaces//pods/p/log',
    '/api/v1/proxy/nodes/n/',
    '/apis/apps/v1/namespaces/shop/pods/p/log',
  ]) {
    it(`leaves ${path === '' ? 'an empty path' : path} to the upstream`, () => {
      expect(routeOf(path)).to.equal(undefined);
    });
  }
});
