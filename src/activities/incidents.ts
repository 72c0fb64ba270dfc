/** Reports to the keeper what happened outside of it, since it stores the incidents. */
import type { Client } from '@temporalio/client';
import { withInvisibleNamed } from '../cluster/characters.js';
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

/** So many notebooks are named in an incident. */
const namedNotebooks = 5;

/** What is older was reported then, or no longer matters. */
const newsMs = 60 * 60_000;

/** The incident of a node that replaced its damaged etcd member and runs a new one. */
export function replacementOf(name: string, view: NodeView, now: Date): Incident | undefined {
  const etcd = view.ok ? view.status.etcd : undefined;
  if (etcd?.replaced === undefined || etcd.state !== 'running') return undefined;
  const { at, why } = etcd.replaced;
  return news(at, `the etcd member of ${name} was replaced, because its data was damaged: ${why}`, now);
}

/** The incident of a node that ended with its kernels, and whose Jupyter is ready again. */
export function lossOf(name: string, view: NodeView, now: Date): Incident | undefined {
  const jupyter = view.ok ? view.status.jupyter : undefined;
  if (jupyter?.lost === undefined || jupyter.state !== 'ready') return undefined;
  const { at, kernels, notebooks } = jupyter.lost;
  return news(at, `${name} ended, and with it ${lostText(kernels, notebooks)}`, now);
}

/** Undefined if it is too old, or its time is none. */
function news(at: string, what: string, now: Date): Incident | undefined {
  const tookMs = Math.max(0, now.getTime() - Date.parse(at));
  return tookMs < newsMs ? { at, what, tookMs } : undefined;
}

function lostText(kernels: number, notebooks: readonly string[]): string {
  const count = kernels === 1 ? 'a kernel' : `${kernels} kernels`;
  if (notebooks.length === 0) return count;
  const named = notebooks.slice(0, namedNotebooks).map(withInvisibleNamed);
  const more = notebooks.length - named.length;
  return `${count}: ${named.join(', ')}${more === 0 ? '' : ` and ${more} more`}`;
}

/** Reports what nodes tell of themselves. A failed report is retried at the next observation. */
export function nodeNotes(client: Client, spec: ClusterSpec): (name: string, view: NodeView) => void {
  const noted = new Set<string>();
  return (name, view) => {
    for (const incidentOf of [replacementOf, lossOf]) {
      const incident = incidentOf(name, view, new Date());
      if (incident === undefined) continue;
      const key = `${incident.at} ${incident.what}`;
      if (noted.has(key)) continue;
      noted.add(key);
      noteAtKeeper(client, spec, incident).catch(() => noted.delete(key));
    }
  };
}
