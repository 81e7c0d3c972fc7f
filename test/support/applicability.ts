import { networkInterfaces } from 'node:os';
import { capabilities, targetKind, type Capability } from './target.js';

/** Something that a machine may or may not have. */
export interface Feature {
  /** A few words, for the summary. */
  readonly name: string;
  readonly present: boolean;
}

/** The tests run against an sshd of this machine, started by them. */
export const ownSshd: Feature = { name: 'an sshd of our own', present: targetKind === 'own' };

/** What a group of tests needs. */
export type Requirement = Capability | Feature;

/** This machine's loopback speaks IPv6. */
export const ipv6: Feature = {
  name: 'IPv6',
  present: Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1')),
};

/** Tests left out, by what was missing for them. */
const leftOut = new Map<string, number>();
let declared = false;

const isMet = (requirement: Requirement) =>
  typeof requirement === 'string' ? capabilities.has(requirement) : requirement.present;

const nameOf = (requirement: Requirement) =>
  typeof requirement === 'string' ? requirement : requirement.name;

/**
 * `describe` for tests that not every target or machine can run. Where a requirement is missing, the tests
 * are not registered: they neither pass nor are skipped, but are counted in the last line of the run.
 */
export function describeFor(
  requirements: Requirement | readonly Requirement[],
  title: string,
  body: () => void,
): void {
  declared = true;
  const missing = [requirements].flat().filter((requirement) => !isMet(requirement));
  const suite = describe(title, body);
  if (missing.length === 0) return;
  const siblings = suite.parent?.suites ?? [];
  siblings.splice(siblings.indexOf(suite), 1);
  const reason = missing.map(nameOf).join(' and ');
  leftOut.set(reason, (leftOut.get(reason) ?? 0) + suite.total());
}

/**
 * `not applicable on this target (own sshd): 5 (tinysshd 5)`; `undefined` if no test has declared
 * requirements.
 */
export function applicabilitySummary(): string | undefined {
  if (!declared) return undefined;
  const total = [...leftOut.values()].reduce((sum, count) => sum + count, 0);
  const reasons = [...leftOut].map(([reason, count]) => `${reason} ${count}`).join(', ');
  const without = total === 0 ? '' : ` (without ${reasons})`;
  return `not applicable on this target (${targetKind} sshd): ${total}${without}`;
}
