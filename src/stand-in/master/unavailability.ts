/** When agents' machines are not available, by the schedule of maintenance. Pure. */
import type { MaintenanceWindow, Unavailability } from '../messages.js';
import type { Agent } from './cluster.js';

/** Whether the agent is on that machine: by its address, its name in any case, or both. */
export function isMachine(
  { info }: Agent,
  { hostname, ip }: MaintenanceWindow['machine_ids'][number],
): boolean {
  return (
    (ip === undefined || ip === info.ip) &&
    (hostname === undefined || hostname.toLowerCase() === info.hostname.toLowerCase())
  );
}

/** When the agent's machine is not available, by the schedule. */
export function unavailabilityOf(
  windows: readonly MaintenanceWindow[],
  agent: Agent,
): Unavailability | undefined {
  return windows.find(({ machine_ids: ids }) => ids.some((id) => isMachine(agent, id)))?.unavailability;
}
