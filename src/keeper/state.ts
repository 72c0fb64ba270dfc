/** What the keeper knows, as plain JSON: stored by its workflow, read by people and by its activities. */
import type { Verdict } from '../etcd/verdict.js';

export type { Verdict };

export interface Incident {
  /** ISO 8601. */
  readonly at: string;
  readonly what: string;
  readonly tookMs: number;
  /** An election after which Jupyter answers, or hosts files alone: nothing that an operator has to look into. */
  readonly routine?: true;
}

/** One line of what the keeper does, for people who follow it. */
export interface KeeperEvent {
  /** Rises by one with each event. */
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: 'found' | 'lost' | 'done' | 'returned' | 'moved' | 'paused' | 'resumed' | 'spec' | 'failed';
  /** A sentence without its full stop. */
  readonly what: string;
}

/** A way in which the cluster differs from what the keeper wants. */
export type DriftKind =
  /** The node's control API does not answer. */
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
  /** For people: a sentence without its full stop. */
  readonly what: string;
}

export interface KeeperState {
  /** Rises with each verdict that names another leader or term; 0 before the first. */
  readonly generation: number;
  readonly verdict?: Verdict;
  /** ISO 8601: since when no majority agrees on a leader; absent while one does. */
  readonly lostSince?: string;
  /** Result of the last reconcile: whose Jupyter answers, and the route that each proxy that answered had. */
  readonly jupyter?: string;
  readonly routes: Readonly<Record<string, { readonly target: string; readonly generation: number }>>;
  /** The spec is another one since the last reconcile. */
  readonly specChanged?: true;
  /** What the last reconcile left, because it could not be reached or repaired. */
  readonly drifts: readonly Drift[];
  /** Repairs in a row without a calm time between; each makes the pause before the next one longer. */
  readonly repairs: number;
  /** With `follow: sticky`: the node that Jupyter stays on while it is healthy. */
  readonly home?: string;
  /** How often in a row leadership was to be moved back there, and did not stay. */
  readonly returns?: number;
  /** Maintenance: the keeper moves and repairs nothing. */
  readonly paused?: { /** ISO 8601. */ readonly since: string; readonly reason?: string };
  /** The newest 20, newest first. */
  readonly incidents: readonly Incident[];
  /** The newest 50, newest first. */
  readonly events: readonly KeeperEvent[];
}

/** A planned move that succeeded. */
export interface MoveResult {
  /** False when Jupyter was served there already. */
  readonly moved: boolean;
  /** The node that served before; absent when none did. */
  readonly from?: string;
  readonly to: string;
  readonly generation: number;
  /** From the order to the routes. */
  readonly tookMs: number;
}
