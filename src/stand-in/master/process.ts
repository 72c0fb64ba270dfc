import type { Authentication } from '../authentication.js';
import type { Contender, MasterInfo } from '../election.js';
import type { Flags } from '../flags.js';
import type { Master } from './master.js';

/** A master process, whether it leads or not. */
export interface MasterProcess {
  readonly info: MasterInfo;
  readonly flags: Flags;
  readonly authentication: Authentication;
  readonly startedAt: number;
  electedAt: number | undefined;
  leader: MasterInfo | undefined;
  /** Who contends for leadership, the leader first; empty without ZooKeeper. */
  contenders: readonly Contender[];
  /** Set when this process leads, and its registry is read. */
  master: Master | undefined;
}
