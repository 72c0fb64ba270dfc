import type { MasterInfo } from '../election.js';
import type { Log } from '../log.js';
import type { Cluster } from './cluster.js';
import type { Counters } from './counters.js';

export interface MasterSettings {
  readonly agentPingTimeoutMs: number;
  readonly maxAgentPingTimeouts: number;
  readonly agentReregisterTimeoutMs: number;
  readonly allocationIntervalMs: number;
  /** Absent: offers do not expire. */
  readonly offerTimeoutMs?: number;
  readonly maxCompletedFrameworks: number;
  readonly maxCompletedTasks: number;
}

/** What the parts of a leading master share. */
export interface MasterContext {
  readonly info: MasterInfo;
  readonly settings: MasterSettings;
  readonly cluster: Cluster;
  readonly counters: Counters;
  readonly log: Log;
}
