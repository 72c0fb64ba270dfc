/** All kinds of faults and their drills, one file each. */
import { brickKill, brickKillDrills, type BrickKill } from './brick-kill.js';
import { diskFill, diskFillDrills, type DiskFill } from './disk-fill.js';
import { etcdMove, etcdMoveDrills, type EtcdMove } from './etcd-move.js';
import { hostCrash, hostCrashDrills, hostReboot, type HostCrash, type HostReboot } from './host-crash.js';
import type { DrillOf, FaultKind } from './kind.js';
import { nodeKill, nodeKillDrills, type NodeKill } from './node-kill.js';
import { partition, partitionDrills, type Partition } from './partition.js';
import { processSignal, processSignalDrills, type ProcessSignal } from './process-signal.js';
import { serviceStop, serviceStopDrills, type ServiceStop } from './service-stop.js';
import { workerKill, workerKillDrills, type WorkerKill } from './worker-kill.js';

export type Fault =
  | BrickKill
  | DiskFill
  | EtcdMove
  | HostCrash
  | HostReboot
  | NodeKill
  | Partition
  | ProcessSignal
  | ServiceStop
  | WorkerKill;

const kinds: { readonly [K in Fault['kind']]: FaultKind<Extract<Fault, { kind: K }>> } = {
  'brick-kill': brickKill,
  'disk-fill': diskFill,
  'etcd-move': etcdMove,
  'host-crash': hostCrash,
  'host-reboot': hostReboot,
  'node-kill': nodeKill,
  partition,
  'process-signal': processSignal,
  'service-stop': serviceStop,
  'worker-kill': workerKill,
};

/** The kind of a fault. Pass it only this fault: each kind handles only its own. */
export function kindOf(fault: Fault): FaultKind<Fault> {
  return kinds[fault.kind];
}

const all = [
  ...nodeKillDrills,
  ...processSignalDrills,
  ...etcdMoveDrills,
  ...workerKillDrills,
  ...serviceStopDrills,
  ...hostCrashDrills,
  ...partitionDrills,
  ...diskFillDrills,
  ...brickKillDrills,
] as const;

export type DrillName = (typeof all)[number]['name'];

export type Drill = DrillOf<Fault> & { readonly name: DrillName };

/** Every drill. */
export const catalogue: readonly Drill[] = all;

export function findDrill(name: string): Drill | undefined {
  return catalogue.find((each) => each.name === name);
}
