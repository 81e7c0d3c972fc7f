import { expect } from 'chai';
import { containerOf } from '../../../lib/apiserver/pods/containers.js';

const podWith = (containers: readonly string[], initContainers: readonly string[] = []) => ({
  spec: {
    containers: containers.map((name) => ({ name })),
    initContainers: initContainers.map((name) => ({ name })),
    ephemeralContainers: [{ name: 'debugger' }],
  },
});

describe('containerOf', () => {
  it('is the only one where none is named, and any that the pod has', () => {
    expect(containerOf(podWith(['web']), 'p', undefined)).to.equal('web');
    expect(containerOf(podWith(['web']), 'p', '')).to.equal('web');
    for (const name of ['a', 'b', 'setup', 'debugger'])
      expect(containerOf(podWith(['a', 'b'], ['setup']), 'p', name)).to.equal(name);
  });

  it('AC-47: names the choice where there is more than one', () => {
    expect(() => containerOf(podWith(['a', 'b']), 'X', undefined))
      .to.throw('a container name must be specified for pod X, choose one of: [a b]')
      .with.property('code', 400);
    expect(() => containerOf(podWith(['a', 'b'], ['c', 'd']), 'X', undefined)).to.throw(
      'choose one of: [a b] or one of the init containers: [c d]',
    );
    expect(() => containerOf({}, 'X', undefined)).to.throw(/^a container name must be specified for pod X$/);
  });

  it('AC-47: refuses one that the pod has not', () => {
    expect(() => containerOf(podWith(['a']), 'X', 'C'))
      .to.throw('container C is not valid for pod X')
      .with.property('code', 400);
  });
});
