import { expect } from 'chai';
import type { Order } from './command-host.js';
import { CommandHost } from './rig.js';

const COMMANDS: readonly [command: Order['command'], name: string, canDemo: boolean][] = [
  ['apiserverProxy', 'apiserver-proxy', false],
  ['fetchThroughNode', 'fetch-through-node', true],
  ['fleetHealth', 'fleet-health', false],
  ['kubeletExec', 'kubelet-exec', true],
  ['kubeletLogs', 'kubelet-logs', true],
  ['portForward', 'port-forward', true],
  ['scrapeMetrics', 'scrape-metrics', true],
  ['socks', 'socks', true],
];

describe('examples: --help', () => {
  for (const [command, name, canDemo] of COMMANDS) {
    it(`of ${name} tells all of it within 100 columns`, async () => {
      const host = new CommandHost(command);
      const { code, output, errors } = await host.run(['--help']);
      await host.end();
      expect([code, errors]).to.deep.equal([0, '']);
      expect(output).to.match(new RegExp(`^Usage: ${name} `));
      expect(output)
        .to.include('\nExit codes: ')
        .and.include(`${name.toUpperCase().replaceAll('-', '_')}_`);
      expect(output.includes('--demo')).to.equal(canDemo);
      const tooLong = output.split('\n').filter((line) => line.length > 100);
      expect(tooLong).to.deep.equal([]);
    });
  }
});
