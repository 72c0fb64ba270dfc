import type { MesosObservation } from './mesos.js';

/** Role holders before the fault. */
export interface Before {
  readonly leader: string;
  /** Epoch and raft term (`termIn`). */
  readonly term: number;
  readonly serving: string;
  readonly zookeeperLeader?: string;
  readonly mesos?: MesosObservation;
  readonly scheduler?: string;
  readonly keeper?: string;
}

export interface Roles extends Before {
  /** Host of each running node. */
  readonly hostOf: Readonly<Record<string, string>>;
}
