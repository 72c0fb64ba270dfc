/** What was repaired without the keeper is told to it: it keeps the list of incidents. */
import type { Client } from '@temporalio/client';
import type { ClusterSpec } from '../cluster/spec.js';
import type { NodeView } from '../keeper/drift.js';
import { keeperState, noteIncident, workflowIds, type Incident } from '../temporal/contract.js';

/** Once, however often it is told. @throws WorkflowNotFoundError while no keeper runs */
export async function noteAtKeeper(client: Client, spec: ClusterSpec, incident: Incident): Promise<void> {
  const handle = client.workflow.getHandle(workflowIds.keeper(spec.name));
  const { incidents } = await handle.query(keeperState);
  const isKnown = incidents.some(({ at, what }) => at === incident.at && what === incident.what);
  if (!isKnown) await handle.executeUpdate(noteIncident, { args: [incident] });
}

/** What happened longer ago than this was noted then, or is no news. */
const newsMs = 60 * 60_000;

/** The incident of a node that has replaced its damaged etcd member, and has one that runs again. */
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

/** Notes what nodes have repaired by themselves. An answer that was lost is asked for again with the next look. */
export function repairNotes(client: Client, spec: ClusterSpec): (name: string, view: NodeView) => void {
  const noted = new Set<string>();
  return (name, view) => {
    const incident = replacementOf(name, view, new Date());
    if (incident === undefined || noted.has(incident.what)) return;
    noted.add(incident.what);
    noteAtKeeper(client, spec, incident).catch(() => noted.delete(incident.what));
  };
}
