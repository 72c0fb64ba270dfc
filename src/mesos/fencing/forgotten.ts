/** Hosts that leave the cluster and never come back, as an operator declared. Pure. */
import { withCordon, type CordonFacts } from '../scheduler/cordons.js';
import { applyHostFence, liveNodes, type FenceFacts, type FenceTable } from './fences.js';

export interface ForgottenFacts {
  /** By the name of the host, until the cluster is deployed without it; absent when there is none. */
  readonly forgotten?: Readonly<Record<string, { /** ISO 8601. */ readonly at: string }>>;
}

type Table = FenceTable & FenceFacts & CordonFacts & ForgottenFacts;

/** Why a host cannot be forgotten; undefined when it can, or is. */
export function forgetRejection(table: Table, host: string): string | undefined {
  const live = liveNodes(table, host);
  return live === undefined ? undefined : `${host} has nodes that are alive according to Mesos: ${live}`;
}

/** Gives up the nodes that may be on the host, and closes it to others; the same value when that was done before. */
export function applyForget<T extends Table>(table: T, host: string, at: string): T {
  const fenced = applyHostFence(table, host, at);
  if (fenced.forgotten?.[host] !== undefined) return fenced;
  return withCordon({ ...fenced, forgotten: { ...fenced.forgotten, [host]: { at } } }, host, at);
}
