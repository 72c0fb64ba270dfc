/** Data passed between the steps of a drill, as plain JSON. Times are milliseconds since the epoch. */
import type { Expectation, MayFail } from './definition.js';
import type { DrillEvent, Invariant, Lane } from './evidence.js';
import type { DrillName, Fault } from './faults/index.js';
import type { KernelPlan, Tally } from './kernels.js';
import type { Before } from './roles.js';

export interface NotebookFile {
  /** Relative to the notebooks' root. */
  readonly path: string;
  readonly bytes: number;
  /** Seconds since the epoch. */
  readonly modified: number;
  readonly sha256: string;
}

/** Everything decided before the fault. */
export interface DrillPlan {
  readonly drill: DrillName;
  /** Human-readable, and the value for `--target`. */
  readonly target: string;
  readonly fault: Fault;
  readonly expects: Expectation;
  readonly budgetMs: number;
  readonly mayFail: MayFail;
  readonly before: Before;
  /** All hosts with a proxy. */
  readonly hosts: readonly string[];
  /** The host whose port 8888 is down until healed, or the only one that may fail. */
  readonly struckHost?: string;
  /** The host that is unreachable until healed. */
  readonly downHost?: string;
  readonly notebooks: readonly NotebookFile[];
  /** The notebook written by the drill, relative to the notebooks' root. */
  readonly marker: string;
  /** Absent in plans of earlier releases. */
  readonly kernels?: KernelPlan;
}

/** Observations of one phase, up to now if it still runs. */
export interface Watched {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly faultAt?: number;
  readonly healedAt?: number;
  /** Their `from`, `to` and `at` are since the epoch. */
  readonly lanes: readonly Lane[];
  readonly events: readonly DrillEvent[];
  /** The kernel of the websockets. */
  readonly kernel?: string;
  /** Output of the plan's kernels; several of a node when several workers watched one after the other. */
  readonly tallies?: readonly Tally[];
  /** The plan's sessions are being closed: what is missing from now on was not lost. */
  readonly closing?: true;
}

export interface Recovery extends Watched {
  readonly recovered: boolean;
}

export interface Healing extends Watched {
  readonly invariants: readonly Invariant[];
  /** A teardown began: what must hold was not waited for. */
  readonly tornDown?: true;
}
