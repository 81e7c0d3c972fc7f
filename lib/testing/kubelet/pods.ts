import { randomUUID } from 'node:crypto';
import { Refusal } from './answers.js';
import { Container } from './container.js';
import type { PodSettings } from './options.js';

/** A pod and what runs in it. */
export class Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly startedAt = new Date();
  readonly containers: readonly Container[];

  constructor({ namespace, name, uid = randomUUID(), containers }: PodSettings) {
    this.namespace = namespace;
    this.name = name;
    this.uid = uid;
    this.containers = containers.map((settings) => new Container(settings, name));
  }

  container(name: string): Container | undefined {
    return this.containers.find((container) => container.name === name);
  }

  /** Ends every container. Resolves when their processes are gone. */
  async end(): Promise<void> {
    await Promise.all(this.containers.map((container) => container.close()));
  }
}

interface PodTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string | undefined;
}

/** The pods of a node. */
export class Pods {
  #all: readonly Pod[];
  readonly #leaving = new Set<Promise<void>>();

  constructor(settings: readonly PodSettings[]) {
    this.#all = settings.map((pod) => new Pod(pod));
  }

  get all(): readonly Pod[] {
    return this.#all;
  }

  /** Starts one more; `undefined` if there is one of its name. */
  add(settings: PodSettings): Pod | undefined {
    if (this.find(settings.namespace, settings.name) !== undefined) return undefined;
    const pod = new Pod(settings);
    this.#all = [...this.#all, pod];
    return pod;
  }

  /** Ends one, and knows it no longer. Resolves when its processes are gone. */
  async remove(pod: Pod): Promise<void> {
    this.#all = this.#all.filter((each) => each !== pod);
    const ended = pod.end();
    this.#leaving.add(ended);
    await ended;
    this.#leaving.delete(ended);
  }

  find(namespace: string, name: string): Pod | undefined {
    return this.all.find((pod) => pod.namespace === namespace && pod.name === name);
  }

  /**
   * The pod that is to be streamed with.
   *
   * @throws {@link Refusal} 404 when there is none of that name, or when it is another one by now
   */
  forStreaming({ namespace, pod: name, uid }: PodTarget): Pod {
    const pod = this.find(namespace, name);
    if (pod === undefined) throw new Refusal(404, 'pod does not exist');
    if (uid !== undefined && uid !== pod.uid) throw new Refusal(404, 'pod not found');
    return pod;
  }

  /** Ends every container. Resolves when their processes are gone. */
  async end(): Promise<void> {
    await Promise.all([...this.#all.map((pod) => pod.end()), ...this.#leaving]);
  }
}
