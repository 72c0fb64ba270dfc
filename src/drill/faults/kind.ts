import type { ClusterSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import type { Reach } from '../../ssh/reach.js';
import type { DrillDefinition } from '../definition.js';
import type { KernelPlan, Started } from '../kernels.js';
import type { LabFaults } from '../lab.js';
import type { Roles } from '../roles.js';

export interface FaultDeps {
  readonly spec: ClusterSpec;
  readonly pool: SshPool;
  readonly reach: Reach;
  /** Present if the worker runs in a lab. */
  readonly lab?: LabFaults;
  /** Starts the kernels of the drill, once; present while it is planned. */
  readonly kernels?: () => Promise<Pick<KernelPlan, 'without'> & { readonly counters: readonly Started[] }>;
}

/** Any fault, as plain JSON. It holds all that healing needs, so it is stored before the injection. */
interface AnyFault {
  readonly kind: string;
}

/**
 * One kind of fault. A fault identifies its process or has a unique ID. An injection whose reply was lost can
 * therefore be repeated: it finds that process gone or stopped, and leaves its successor alone. The same
 * holds for healing.
 */
export interface FaultKind<F extends AnyFault> {
  readonly kind: F['kind'];
  /** Injects the fault, unless already done. */
  inject(deps: FaultDeps, fault: F): Promise<void>;
  /** Undoes what is left of the fault; idempotent, also without an injection. */
  heal(deps: FaultDeps, fault: F): Promise<void>;
  /** Human-readable: what was done. */
  injected(fault: F): string;
  /** Human-readable: what healing did. */
  healed(fault: F): string;
  /** The host that is unreachable until the fault is healed. */
  downHost?(fault: F): string;
  /** Identity of the worker that the fault ends, which cannot report the outcome. */
  endsWorker?(fault: F): string;
}

/** A drill with its fault. */
export interface DrillOf<F extends AnyFault> extends DrillDefinition {
  /**
   * The fault for a target, with everything that injecting and healing need.
   *
   * @throws PerijoveError DRILL_NOT_POSSIBLE, DRILL_UNHEALTHY, DRILL_UNSAFE; SSH_*; COMMAND_FAILED when the
   *   process is not running
   */
  plan(deps: FaultDeps, roles: Roles, target: string): Promise<F>;
}
