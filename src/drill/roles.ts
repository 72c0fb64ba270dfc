import type { MesosObservation } from './mesos.js';

/** Who held what before the fault. */
export interface Before {
  readonly leader: string;
  /** Raft term. */
  readonly term: number;
  readonly serving: string;
  readonly zookeeperLeader?: string;
  readonly mesos?: MesosObservation;
  readonly scheduler?: string;
  readonly keeper?: string;
}

export interface Roles extends Before {
  /** Host of each node that runs. */
  readonly hostOf: Readonly<Record<string, string>>;
}
