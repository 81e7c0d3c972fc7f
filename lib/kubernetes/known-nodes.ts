import { debug } from '../diagnostics.js';
import { messageOf } from '../errors.js';
import type { LeftOut, NodeUpdate } from '../fleet/node-source.js';
import type { NodeSpec } from '../fleet/node.js';
import { describeValue } from '../validation.js';
import { nodeSpecOf, type KubernetesNode, type NodeReading } from './node-spec.js';

/** A Node as it was read last. */
interface Entry {
  /** What it is to the fleet; while it cannot be used, what it was before. */
  readonly spec: NodeSpec | undefined;
  /** What is wrong with it. */
  readonly reason: string | undefined;
  /** Changes with the spec, or with what is wrong. */
  readonly text: string;
}

/** The Nodes of the cluster as far as they were told. Knows whether what they are to the fleet, or why they are nothing, has changed. */
export class KnownNodes {
  readonly #reading: NodeReading;
  #entries = new Map<string, Entry>();

  constructor(reading: NodeReading) {
    this.#reading = reading;
  }

  /** Those that can be used, or could, and the bastions before them, as a list of their own. */
  get specs(): readonly NodeSpec[] {
    return [...this.#reading.bastions, ...[...this.#entries.values()].flatMap(({ spec }) => spec ?? [])];
  }

  /** Those that cannot be used as they are. */
  get leftOut(): readonly LeftOut[] {
    return [...this.#entries].flatMap(([name, { spec, reason }]) =>
      reason === undefined ? [] : { name, reason, isKept: spec !== undefined },
    );
  }

  /** What is told of them: a plain list, unless there are some that cannot be used. */
  get update(): NodeUpdate {
    const { specs: nodes, leftOut } = this;
    return leftOut.length === 0 ? nodes : { nodes, leftOut };
  }

  /** Makes these all the Nodes there are. Returns whether something has changed. */
  replace(nodes: readonly KubernetesNode[]): boolean {
    const entries = new Map(nodes.map((node) => [nameOf(node), this.#read(node)]));
    const gone = [...this.#entries.keys()].some((name) => !entries.has(name));
    const changed = [...entries].some(([name, entry]) => this.#differs(name, entry));
    this.#entries = entries;
    return gone || changed;
  }

  /** Adds a Node, or replaces the one of its name. Returns whether something has changed. */
  put(node: KubernetesNode): boolean {
    const name = nameOf(node);
    const entry = this.#read(node);
    const changed = this.#differs(name, entry);
    this.#entries.set(name, entry);
    return changed;
  }

  /** Returns whether something has changed. */
  delete(node: KubernetesNode): boolean {
    return this.#entries.delete(nameOf(node));
  }

  #differs(name: string, { text }: Entry): boolean {
    return this.#entries.get(name)?.text !== text;
  }

  #read(node: KubernetesNode): Entry {
    try {
      const spec = nodeSpecOf(node, this.#reading);
      return { spec, reason: undefined, text: JSON.stringify(spec) };
    } catch (error) {
      const reason = messageOf(error);
      const known = this.#entries.get(nameOf(node));
      // A slip in an annotation, or addresses that are gone for a moment, must not end what the node carries.
      const spec = known?.spec;
      // Kubelets report every few minutes; once is enough.
      if (known?.text !== reason) {
        const outcome = spec === undefined ? 'left out' : 'kept as it was';
        debug.kubernetes('node %s is %s: %s', describeValue(nameOf(node)), outcome, reason);
      }
      return { spec, reason, text: reason };
    }
  }
}

const nameOf = ({ metadata }: KubernetesNode): string => metadata?.name ?? '';
