import type { Authentication } from '../authentication.js';
import type { Contender, MasterInfo } from '../election.js';
import type { Flags } from '../flags.js';
import { Cluster } from './cluster.js';
import type { Master } from './master.js';

/** A master process, whether it leads or not. */
export interface MasterProcess {
  readonly info: MasterInfo;
  readonly flags: Flags;
  readonly authentication: Authentication;
  readonly startedAt: number;
  electedAt: number | undefined;
  leader: MasterInfo | undefined;
  /** The candidates of the election, the leader first; empty without ZooKeeper. */
  contenders: readonly Contender[];
  /** Set once this process leads and has read its registry. */
  master: Master | undefined;
}

/** The state of the cluster; empty where this process does not lead. */
export function clusterOf({ master }: MasterProcess): Cluster {
  return master?.cluster ?? new Cluster();
}
