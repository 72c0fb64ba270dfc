/** What the steps of a drill hand to each other, as plain JSON. Times are milliseconds since the epoch. */
import type { DrillName, Expectation, MayFail } from './catalogue.js';
import type { DrillEvent, Invariant, Lane } from './evidence.js';
import type { MesosSight } from './mesos.js';

/** A process as it can be found again: a process ID that was given anew has another start. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks after boot, field 22 of `/proc/<pid>/stat` (proc(5)). */
  readonly start: number;
}

/** What is injected. All that healing needs to know is in it, so it is stored before anything is done. */
export type Fault =
  | {
      readonly kind: 'node-kill';
      readonly node: string;
      readonly host: string;
      /** Base directory of the node's tree. */
      readonly base: string;
      /** Its `perijove-node start`. */
      readonly owner: ProcessMark;
    }
  | {
      readonly kind: 'process-signal';
      readonly host: string;
      readonly signal: 'KILL' | 'STOP';
      readonly process: ProcessMark;
      /** Of the host: started again by the healing, if its supervisor did not. */
      readonly service?: string;
      /** When it was planned, by the clock of the host: seconds since the epoch. */
      readonly clock?: number;
    }
  | {
      /** A service is stopped, and kept so until it is healed. */
      readonly kind: 'service-stop';
      readonly host: string;
      /** Of this stop alone: what somebody else stopped is not started. Absent in drills of earlier versions. */
      readonly id?: string;
      readonly service: string;
      readonly process: ProcessMark;
    }
  | {
      readonly kind: 'etcd-move';
      readonly from: string;
      readonly to: string;
      /** At which term `from` leads. */
      readonly term: number;
    }
  | { readonly kind: 'worker-kill'; readonly worker: string }
  | { readonly kind: 'host-crash'; readonly host: string }
  | {
      readonly kind: 'brick-kill';
      readonly host: string;
      readonly volume: string;
      readonly process: ProcessMark;
    }
  | {
      /** It crashes, and boots by itself. */
      readonly kind: 'host-reboot';
      readonly host: string;
      /** Its process 1, another one after the boot. */
      readonly init: ProcessMark;
    }
  | {
      readonly kind: 'partition';
      readonly host: string;
      /** Of this cut alone: one that was healed is not made again. */
      readonly id: string;
      /** The interface that carries the host's address. */
      readonly device: string;
      /** Addresses that it is cut off from; absent: from all. */
      readonly peers?: readonly string[];
      /** After this the host mends it by itself. */
      readonly forMs: number;
    }
  | {
      readonly kind: 'disk-fill';
      readonly host: string;
      /** Of this fill alone: one that was healed is not made again. */
      readonly id: string;
      /** After this the host frees it by itself. */
      readonly forMs: number;
    };

/** Who held what before the fault. */
export interface Before {
  readonly leader: string;
  /** Raft term. */
  readonly term: number;
  readonly serving: string;
  readonly zookeeperLeader?: string;
  readonly mesos?: MesosSight;
  readonly scheduler?: string;
  readonly keeper?: string;
}

export interface NotebookFile {
  /** Below the notebooks' root. */
  readonly path: string;
  readonly bytes: number;
  /** Seconds since the epoch. */
  readonly modified: number;
  readonly sha256: string;
}

/** Everything that is decided before the fault. */
export interface DrillPlan {
  readonly drill: DrillName;
  /** For people, and for `--target`. */
  readonly target: string;
  readonly fault: Fault;
  readonly expects: Expectation;
  readonly budgetMs: number;
  readonly mayFail: MayFail;
  readonly before: Before;
  /** All hosts with a proxy. */
  readonly hosts: readonly string[];
  /** The host whose port 8888 is down until it is healed, or that alone may fail. */
  readonly struckHost?: string;
  readonly notebooks: readonly NotebookFile[];
  /** The notebook that the drill wrote itself; below the notebooks' root. */
  readonly marker: string;
}

/** What the probe saw in one phase, or in the phase up to now. */
export interface Watched {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly faultAt?: number;
  readonly healedAt?: number;
  /** `from`, `to` and `at` in them are since the epoch. */
  readonly lanes: readonly Lane[];
  readonly events: readonly DrillEvent[];
  /** The kernel that the websockets are connected to. */
  readonly kernel?: string;
}

export interface Recovery extends Watched {
  readonly recovered: boolean;
}

export interface Healing extends Watched {
  readonly invariants: readonly Invariant[];
}
