import type { ClusterSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import type { Reach } from '../../ssh/reach.js';
import type { DrillDefinition } from '../definition.js';
import type { LabFaults } from '../lab.js';
import type { Roles } from '../roles.js';

export interface FaultDeps {
  readonly spec: ClusterSpec;
  readonly pool: SshPool;
  readonly reach: Reach;
  /** Where the worker runs in a lab. */
  readonly lab?: LabFaults;
}

/** Any fault, as plain JSON. All that healing needs to know is in it, so it is stored before anything is done. */
interface AnyFault {
  readonly kind: string;
}

/**
 * One kind of fault. A fault identifies the process that it is about, or has a unique ID. So an injection whose
 * answer was lost may be repeated: it finds that process gone, or stopped, and leaves alone what has taken its place.
 * The same holds for healing.
 */
export interface FaultKind<F extends AnyFault> {
  readonly kind: F['kind'];
  /** Does it, unless it was done before. */
  inject(deps: FaultDeps, fault: F): Promise<void>;
  /** Undoes what the fault left, as far as nothing else does; may be repeated, and also without an injection. */
  heal(deps: FaultDeps, fault: F): Promise<void>;
  /** What was done, for people. */
  injected(fault: F): string;
  /** What healing did, for people. */
  healed(fault: F): string;
  /** The host that nobody reaches until the fault is healed. */
  downHost?(fault: F): string;
  /** The worker that the fault ends, by its identity: it cannot tell how it was. */
  endsWorker?(fault: F): string;
}

/** A drill, with the fault that it does. */
export interface DrillOf<F extends AnyFault> extends DrillDefinition {
  /**
   * The fault that is done to the target, with everything in it that injecting and healing need.
   *
   * @throws PerijoveError DRILL_NOT_POSSIBLE, DRILL_UNHEALTHY, DRILL_UNSAFE; SSH_*; COMMAND_FAILED when the process
   *   does not run
   */
  plan(deps: FaultDeps, roles: Roles, target: string): Promise<F>;
}
