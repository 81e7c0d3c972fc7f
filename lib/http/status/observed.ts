/** What is read of a node; all else that its status holds is passed on as it is. */
export interface ObservedNode {
  readonly name: string;
  readonly state: string;
  /** Whether it only carries connections to other nodes. */
  readonly bastion?: boolean;
}

/** What is read of the source of the nodes. */
export interface ObservedSource {
  readonly name: string;
  readonly state: string;
  /** Why there are no newer nodes, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
  /** Nodes that it knows but cannot tell as they are. */
  readonly leftOut?: {
    readonly count: number;
    readonly first: readonly { readonly name: string; readonly reason: string }[];
  };
}

/** A dialer at one moment, as its `status()` tells. */
export interface ObservedStatus {
  readonly state: 'open' | 'closing' | 'closed';
  readonly source?: ObservedSource;
  readonly nodes: readonly ObservedNode[];
}

/** A dialer that can be watched: a `TunnelDialer`, or whatever else has a status and tells of changes. */
export interface ObservableDialer {
  status(): ObservedStatus;
  on(event: 'nodeState' | 'source', listener: () => void): unknown;
  off(event: 'nodeState' | 'source', listener: () => void): unknown;
}
