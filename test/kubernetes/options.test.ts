import { expect } from 'chai';
import { inspect } from 'node:util';
import { InvalidOptionError } from '../../lib/errors.js';
import { nodeSourceOf } from '../../lib/fleet/node-source.js';
import { kubernetesNodes, type KubernetesNodesOptions } from '../../lib/kubernetes/index.js';

function refusal(options: unknown): InvalidOptionError {
  try {
    kubernetesNodes(options as KubernetesNodesOptions);
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error(`took ${JSON.stringify(options)}`);
}

describe('kubernetesNodes: options', () => {
  it('needs none, and is a source of nodes', () => {
    const source = kubernetesNodes();
    expect(source.name).to.equal('cluster of the default kubeconfig');
    expect(nodeSourceOf(source, 'nodes')).to.equal(source);
    expect(kubernetesNodes({ kubeconfig: '/etc/x' }).name).to.equal('cluster of /etc/x');
  });

  for (const [option, values] of Object.entries({
    kubeconfig: ['', 5],
    context: ['', {}],
    inCluster: ['yes', 1],
    cluster: ['https://x', null],
    'cluster.server': ['x', 'http://x', 'https://me:hunter2@x', 'https://x?a'].map((server) => ({ server })),
    'cluster.caFile': [{ server: 'https://x', caFile: '' }],
    'cluster.keyFile': [{ server: 'https://x', certFile: 'x' }],
    addressTypes: ['InternalIP', []],
    'addressTypes[1]': [['InternalIP', 'internalIP']],
    labelSelector: ['', ['a=b']],
    annotations: ['no'],
    bastions: [null, 'bastion'],
    'bastions[0].address': [[{ name: 'bastion' }]],
    'bastions[0].via': [[{ name: 'a', address: '192.0.2.1', via: 'b' }]],
    'bastions[1].name': [['b', 'B'].map((name) => ({ name, address: '192.0.2.1' }))],
    listTimeoutMs: [0, -1, 1.5, '5s', 2 ** 31],
    silenceMs: [0, Infinity],
    retryMinMs: [0, null],
    retryMaxMs: [0, 249],
  })) {
    it(`names ${option} when it is wrong`, () => {
      const key = option.replace(/[[.].*/, '');
      for (const value of values) {
        expect(refusal({ [key]: value })).to.include({ option, code: 'ERR_TUNNEL_INVALID_OPTION' });
      }
    });
  }

  it('refuses what has no meaning together', () => {
    expect(refusal({ inCluster: true, kubeconfig: 'x' })).to.include({ option: 'kubeconfig' });
    expect(refusal({ inCluster: true, context: 'x' })).to.include({ option: 'context' });
    const cluster = { server: 'https://x' };
    expect(refusal({ cluster, kubeconfig: 'x' })).to.include({ option: 'kubeconfig' });
    expect(refusal({ cluster, inCluster: true })).to.include({ option: 'cluster' });
    expect(refusal({ retryMinMs: 5_000, retryMaxMs: 4_999 })).to.include({ option: 'retryMaxMs' });
  });

  it('refuses the content of a kubeconfig in place of its path, and does not show it', () => {
    for (const kubeconfig of ['users:\n- user: { token: hunter2 }\n', '{"users":[{"token":"hunter2"}]}']) {
      const error = refusal({ kubeconfig });
      expect(error.message).to.equal('kubeconfig must be the path of a kubeconfig file, not its content');
      expect(inspect(error, { depth: 9, showHidden: true })).to.not.include('hunter2');
    }
  });

  it('knows what was meant', () => {
    expect(refusal({ listTimeout: 5 }).message).to.include('did you mean listTimeoutMs?');
    expect(refusal(null)).to.include({ option: 'options' });
  });
});
