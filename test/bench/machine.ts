import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { cpus, loadavg, release, type as system } from 'node:os';
import { findProgram } from '../support/find-program.js';

const require = createRequire(import.meta.url);

/** What the numbers depend on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** How many processes wanted a core in the minute before the run. */
  readonly load: number;
  readonly kernel: string;
  readonly node: string;
  readonly openssh: string;
  readonly ssh2: string;
  /** Whether ssh2 encrypts with its native addon; without one it uses node:crypto, which shows in every row that has ssh2 in it. */
  readonly nativeAddon: boolean;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    kernel: `${system()} ${release()}`,
    node: process.version,
    openssh: opensshVersion(),
    ssh2: (require('ssh2/package.json') as { version: string }).version,
    nativeAddon: (require('ssh2/lib/protocol/crypto.js') as { bindingAvailable: boolean }).bindingAvailable,
  };
}

function opensshVersion(): string {
  const program = findProgram('ssh');
  if (program === undefined) return 'no client';
  return spawnSync(program, ['-V'], { encoding: 'utf8' }).stderr.trim();
}
