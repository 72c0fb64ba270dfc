/** Reports repairs made outside the keeper to it, since it stores the incidents. */
import type { Client } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import type { NodeView } from '../keeper/drift.js';
import { PerijoveError } from '../errors/error.js';
import { noteIncident, workflowIds, type Incident } from '../temporal/contract.js';
import { askToDo } from './asking.js';
import { keeperStateOf } from './workflow-state.js';

/** Repeated calls add the incident once. @throws PerijoveError KEEPER_ABSENT while no keeper runs */
export async function noteAtKeeper(client: Client, spec: ClusterSpec, incident: Incident): Promise<void> {
  const keeper = await keeperStateOf(client, spec);
  if (keeper === undefined) throw new PerijoveError('KEEPER_ABSENT', `${spec.name} has no running keeper`);
  const isKnown = keeper.incidents.some(({ at, what }) => at === incident.at && what === incident.what);
  if (isKnown) return;
  await askToDo(client, workflowIds.keeper(spec.name), (handle, updateId) =>
    handle.executeUpdate(noteIncident, { args: [incident], updateId }),
  );
}

/** Older replacements were reported then, or no longer matter. */
const newsMs = 60 * 60_000;

/** The incident of a node that replaced its damaged etcd member and runs a new one. */
export function replacementOf(name: string, view: NodeView, now: Date): Incident | undefined {
  const etcd = view.ok ? view.status.etcd : undefined;
  if (etcd?.replaced === undefined || etcd.state !== 'running') return undefined;
  const { at, why } = etcd.replaced;
  const tookMs = Math.max(0, now.getTime() - Date.parse(at));
  if (!(tookMs < newsMs)) return undefined;
  return {
    at,
    what: `the etcd member of ${name} was replaced, because its data was damaged: ${why}`,
    tookMs,
  };
}

/** Reports repairs made by nodes. A failed report is retried at the next observation. */
export function repairNotes(client: Client, spec: ClusterSpec): (name: string, view: NodeView) => void {
  const noted = new Set<string>();
  return (name, view) => {
    const incident = replacementOf(name, view, new Date());
    if (incident === undefined || noted.has(incident.what)) return;
    noted.add(incident.what);
    noteAtKeeper(client, spec, incident).catch(() => noted.delete(incident.what));
  };
}
