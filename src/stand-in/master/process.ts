import type { Authentication } from '../authentication.js';
import type { Contender, MasterInfo } from '../election.js';
import type { Flags } from '../flags.js';
import { Cluster } from './cluster.js';
import type { Master } from './master.js';

/** A master process, leading or not. */
export interface MasterProcess {
  readonly info: MasterInfo;
  readonly flags: Flags;
  readonly authentication: Authentication;
  readonly startedAt: number;
  electedAt: number | undefined;
  leader: MasterInfo | undefined;
  /** Candidates of the election, the leader first; empty without ZooKeeper. */
  contenders: readonly Contender[];
  /** Set once this process leads and has read its registry. */
  master: Master | undefined;
}

/** The cluster state; empty when this process does not lead. */
export function clusterOf({ master }: MasterProcess): Cluster {
  return master?.cluster ?? new Cluster();
}
