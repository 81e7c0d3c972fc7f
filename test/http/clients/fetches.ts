import { ownAgent } from './own-fetch.js';
import { Agent, fetch as fetchOfUndici } from 'undici';
import type { UndiciConnector } from '../../../lib/http/index.js';

interface Dispatcher {
  close(): Promise<void>;
  destroy(): Promise<void>;
}

/** A `fetch` and the agent that belongs to it. */
export interface Fetch {
  readonly name: string;
  readonly Agent: new (options: {
    connect: UndiciConnector;
    connections?: number;
    keepAliveTimeout?: number;
  }) => Dispatcher;
  readonly fetch: (
    url: string,
    options: { dispatcher: Dispatcher; method?: string; signal?: AbortSignal; body?: string },
  ) => Promise<Pick<Response, 'text' | 'status' | 'body'>>;
}

if (ownAgent === Agent || (ownAgent as { name: string }).name !== 'Agent')
  throw new Error("undici was imported before Node's own agent was made");

/** undici's own, and Node's, which is an undici of another version. */
export const fetches: readonly Fetch[] = [
  { name: 'fetch of undici', Agent, fetch: fetchOfUndici as unknown as Fetch['fetch'] },
  {
    name: `Node's fetch, which is undici ${process.versions.undici}`,
    Agent: ownAgent as Fetch['Agent'],
    fetch: fetch as unknown as Fetch['fetch'],
  },
];
