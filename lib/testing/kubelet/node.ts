import type { Pods } from './pods.js';

/** What the plain endpoints tell of. */
export interface Node {
  readonly name: string;
  readonly startedAt: Date;
  readonly pods: Pods;
  readonly anonymous: boolean;
}
