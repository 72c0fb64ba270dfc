/** The keeper's state, as plain JSON: stored by its workflow, read by clients and its activities. */
import type { Verdict } from '../etcd/verdict.js';

export type { Verdict };

export interface Incident {
  /** ISO 8601. */
  readonly at: string;
  readonly what: string;
  readonly tookMs: number;
  /** An election after which Jupyter responds, or only hosts files: no action needed from an operator. */
  readonly routine?: true;
}

/** One event of the keeper, for `perijove events`. */
export interface KeeperEvent {
  /** Rises by one with each event. */
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: 'found' | 'lost' | 'done' | 'returned' | 'moved' | 'paused' | 'resumed' | 'spec' | 'failed';
  /** A sentence without its full stop. */
  readonly what: string;
}

/** A difference between the cluster and its desired state. */
export type DriftKind =
  /** The node's control API does not respond. */
  | 'node-silent'
  /** The proxy's API does not answer, or the host is not to be reached. */
  | 'proxy-silent'
  /** The node that should serve does not. */
  | 'jupyter-down'
  /** A node serves that should not. */
  | 'jupyter-elsewhere'
  /** A proxy has no route, or another one. */
  | 'route'
  /** A node's hosts file says something else. */
  | 'hosts'
  /** A reconcile ended with an error. */
  | 'failed';

export interface Drift {
  readonly kind: DriftKind;
  /** Name of the node or host. */
  readonly subject: string;
  /** Human-readable: a sentence without its full stop. */
  readonly what: string;
}

export interface KeeperState {
  /** Rises with each verdict with another leader or term; 0 before the first. */
  readonly generation: number;
  readonly verdict?: Verdict;
  /** ISO 8601: since when no majority agrees on a leader; absent while one does. */
  readonly lostSince?: string;
  /**
   * Results of the last reconcile: the node whose Jupyter responds, and the routes of the proxies that
   * responded.
   */
  readonly jupyter?: string;
  readonly routes: Readonly<Record<string, { readonly target: string; readonly generation: number }>>;
  /** The spec has changed since the last reconcile. */
  readonly specChanged?: true;
  /** What the last reconcile could not reach or repair. */
  readonly drifts: readonly Drift[];
  /** Consecutive repairs without a calm period; each one lengthens the pause before the next. */
  readonly repairs: number;
  /** With `follow: sticky`: the node that Jupyter stays on while it is healthy. */
  readonly home?: string;
  /** How often in a row leadership was to be moved back there and did not stay. */
  readonly returns?: number;
  /** Maintenance: moves and repairs are suspended. */
  readonly paused?: { /** ISO 8601. */ readonly since: string; readonly reason?: string };
  /** The newest 20, newest first. */
  readonly incidents: readonly Incident[];
  /** The newest 50, newest first. */
  readonly events: readonly KeeperEvent[];
}

/** A planned move that succeeded. */
export interface MoveResult {
  /** False if Jupyter was already served there. */
  readonly moved: boolean;
  /** The node that served before; absent if none did. */
  readonly from?: string;
  readonly to: string;
  readonly generation: number;
  /** From the order to the routes. */
  readonly tookMs: number;
}
