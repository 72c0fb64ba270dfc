/** What the steps of a drill hand to each other, as plain JSON. Times are milliseconds since the epoch. */
import type { Expectation, MayFail } from './definition.js';
import type { DrillEvent, Invariant, Lane } from './evidence.js';
import type { DrillName, Fault } from './faults/index.js';
import type { Before } from './roles.js';

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
  /** The host that nobody reaches until it is healed. */
  readonly downHost?: string;
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
  /** A teardown began: what must hold was not waited for. */
  readonly tornDown?: true;
}
