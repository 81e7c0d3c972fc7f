import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { describeFor, type Feature } from './applicability.js';
import { findProgram } from './find-program.js';
import { descendantsOf, isAlive, parseStat, tableFromProc, tableFromPs } from './processes.js';

const proc: Feature = { name: '/proc', present: existsSync('/proc/self/stat') };
const ps: Feature = { name: 'ps', present: findProgram('ps') !== undefined };

describe('the process table', () => {
  it('reads names with spaces and parentheses', () => {
    const fields = Array.from({ length: 40 }, (_, index) => `${index}`).join(' ');
    expect(parseStat(`12 (a) b (c) S 7 ${fields}`)).to.deep.equal({
      pid: 12,
      parent: 7,
      command: 'a) b (c',
      zombie: false,
      startedAt: '17',
    });
  });

  it('knows descendants, but not the dead', () => {
    const entry = (pid: number, parent: number, zombie = false) => {
      return { pid, parent, command: '', zombie, startedAt: '' };
    };
    const table = [entry(4, 3), entry(3, 2), entry(2, 1), entry(9, 1), entry(5, 2, true)];
    expect(descendantsOf(table, 2).map(({ pid }) => pid)).to.deep.equal([3, 4]);
  });

  it('tells a process from a later one with its pid', () => {
    const first = { pid: 2, parent: 1, command: '', zombie: false, startedAt: 'then' };
    expect(isAlive([first], first)).to.be.true;
    expect(isAlive([{ ...first, startedAt: 'now' }], first)).to.be.false;
  });

  for (const [feature, read] of [
    [proc, tableFromProc],
    [ps, tableFromPs],
  ] as const) {
    describeFor(feature, `from ${feature.name}`, () => {
      it('holds this process and its parent', () => {
        const me = read().find(({ pid }) => pid === process.pid);
        expect(me).to.include({ parent: process.ppid, zombie: false });
        expect(me?.startedAt).to.not.be.empty;
      });
    });
  }
});
