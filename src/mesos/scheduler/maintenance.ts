/**
 * Mesos' own maintenance: an operator's schedule at the masters, by which machines become unavailable. Nodes leave a
 * host before its window begins, and none is launched on it until the window is over. Pure.
 */
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';

/** Nodes leave this long before a window begins: a planned move of each takes seconds, on a slow machine minutes. */
export const leadMs = 15 * 60_000;

export interface MaintenanceWindow {
  readonly machines: readonly { readonly hostname?: string; readonly ip?: string }[];
  /** Milliseconds since the epoch. */
  readonly startMs: number;
  /** Milliseconds since the epoch; absent: until the schedule is changed. */
  readonly endMs?: number;
}

/** By host: its window that has begun or begins soon, and is not over. */
export type Maintenance = Readonly<Record<string, MaintenanceWindow>>;

/** Of several windows of a host, the one that begins first. */
export function maintenanceOf(
  spec: ClusterSpec,
  windows: readonly MaintenanceWindow[],
  now: number,
): Maintenance {
  const near = windows
    .filter(({ startMs, endMs = Infinity }) => startMs - leadMs <= now && now < endMs)
    .toSorted((a, b) => a.startMs - b.startMs);
  return Object.fromEntries(
    hostsWithRole(spec, 'agent').flatMap((host) => {
      const window = near.find(({ machines }) => machines.some((machine) => isMachine(host, machine)));
      return window === undefined ? [] : [[host.name, window]];
    }),
  );
}

/** When `maintenanceOf` next changes by the clock alone: milliseconds since the epoch; Infinity for never. */
export function changesAt(windows: readonly MaintenanceWindow[], now: number): number {
  const times = windows.flatMap(({ startMs, endMs = Infinity }) => [startMs - leadMs, endMs]);
  return Math.min(Infinity, ...times.filter((at) => at > now));
}

/** A machine is known by its address and its name, of which either may be missing (`MachineID` of mesos.proto). */
function isMachine(host: HostSpec, { hostname, ip }: MaintenanceWindow['machines'][number]): boolean {
  if (ip !== undefined) return ip === host.address;
  return hostname?.toLowerCase() === host.hostname.toLowerCase();
}

/** One sentence for each host that still has nodes, without its full stop. */
export function maintenanceNotes(
  maintenance: Maintenance,
  nodesOn: (host: string) => readonly string[],
): string[] {
  return Object.entries(maintenance).flatMap(([host, { startMs, endMs }]) => {
    const nodes = nodesOn(host);
    if (nodes.length === 0) return [];
    const until = endMs === undefined ? '' : ` to ${new Date(endMs).toISOString()}`;
    const when = `from ${new Date(startMs).toISOString()}${until}`;
    return [`Mesos has maintenance of ${host} ${when}: ${nodes.join(', ')} must leave it`];
  });
}
