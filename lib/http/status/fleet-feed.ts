import type { ObservedStatus } from './observed.js';
import { toPrintableJson } from './printable-json.js';

/** How far a reader has read. */
export interface Position {
  readonly members: number;
  readonly version: number;
}

/** What a reader has not read yet. */
export interface News {
  /** `fleet`: these are the nodes. `changes`: these nodes have changed, the others are as they were. */
  readonly event: 'fleet' | 'changes';
  /** One line of JSON: the status, with `at`, the time that it is of. */
  readonly data: string;
  readonly position: Position;
}

/**
 * What changes from one status to the next, for readers that are at different places: one that missed some is told all that changed
 * since, once. Nothing is queued.
 */
export class FleetFeed {
  readonly #nodes = new Map<string, { json: string; version: number }>();
  #rest = '';
  #restVersion = 0;
  /** Another number when nodes have come or gone. */
  #members = 0;
  #version = 0;
  #at = new Date(0);

  read({ nodes, ...rest }: ObservedStatus): void {
    this.#at = new Date();
    this.#version += 1;
    const text = toPrintableJson(rest);
    if (text !== this.#rest) [this.#rest, this.#restVersion] = [text, this.#version];
    if (nodes.length !== this.#nodes.size || !nodes.every(({ name }) => this.#nodes.has(name))) {
      this.#nodes.clear();
      this.#members += 1;
    }
    for (const node of nodes) {
      const json = toPrintableJson(node);
      if (json !== this.#nodes.get(node.name)?.json)
        this.#nodes.set(node.name, { json, version: this.#version });
    }
  }

  /** What one who has read up to here (`undefined`: nothing) does not know yet. */
  since(position: Position | undefined): News | undefined {
    const isKnown = position?.members === this.#members;
    const read = isKnown ? position.version : 0;
    const fresh = [...this.#nodes.values()].filter(({ version }) => version > read);
    if (isKnown && fresh.length === 0 && this.#restVersion <= read) return undefined;
    const members = fresh.map(({ json }) => json).join(',');
    return {
      event: isKnown ? 'changes' : 'fleet',
      data: `{"at":${JSON.stringify(this.#at)},"nodes":[${members}],${this.#rest.slice(1)}`,
      position: { members: this.#members, version: this.#version },
    };
  }
}
