/** Hosts that are closed to nodes, for maintenance: nodes on them move, and none is launched on them. Pure. */
import { hostsWithRole, type ClusterSpec } from '../../cluster/spec.js';
import { kindOf, type TaskTable } from './tasks.js';

/** An operator's order that a host holds no nodes. It is valid until it is revoked. */
export interface Cordon {
  /** ISO 8601. */
  readonly at: string;
}

export interface CordonFacts {
  /** By the name of the host; absent when no host is cordoned. */
  readonly cordons?: Readonly<Record<string, Cordon>>;
}

/** Why a host cannot be cordoned; undefined when it can. */
export function cordonRejection(spec: ClusterSpec, host: string): string | undefined {
  const agents = hostsWithRole(spec, 'agent').map(({ name }) => name);
  return agents.includes(host) ? undefined : `${spec.name} has no agent on ${host}`;
}

/** Closes the host; returns the same value when it is closed already. */
export function withCordon<T extends CordonFacts>(facts: T, host: string, at: string): T {
  if (facts.cordons?.[host] !== undefined) return facts;
  return { ...facts, cordons: { ...facts.cordons, [host]: { at } } };
}

/** Opens the hosts for which `revoked` holds; returns the same value when none of them is closed. */
export function withoutCordons<T extends CordonFacts>(facts: T, revoked: (host: string) => boolean): T {
  const entries = Object.entries(facts.cordons ?? {});
  const left = entries.filter(([host]) => !revoked(host));
  if (left.length === entries.length) return facts;
  const { cordons, ...rest } = facts;
  return (left.length === 0 ? rest : { ...rest, cordons: Object.fromEntries(left) }) as T;
}

/** Whether nodes may be on the host: the spec has an agent on it, and it is not cordoned. */
export function mayHoldNodes(spec: ClusterSpec, { cordons }: CordonFacts, host: string): boolean {
  // The host of an adopted task is empty while it is not known.
  if (host === '') return true;
  return cordonRejection(spec, host) === undefined && cordons?.[host] === undefined;
}

/** The nodes that run on the host, or may run there. */
export function nodesOn({ tasks }: Pick<TaskTable, 'tasks'>, host: string): string[] {
  return Object.values(tasks)
    .filter((task) => task.host === host && kindOf(task.state) !== 'terminal')
    .map(({ node }) => node);
}

/** The nodes, by host, that leave hosts which may not hold them by this spec. */
export function nodesToDrain(
  spec: ClusterSpec,
  table: CordonFacts & Pick<TaskTable, 'tasks'>,
): Readonly<Record<string, readonly string[]>> {
  const leaving: Record<string, string[]> = {};
  for (const { node, host, state } of Object.values(table.tasks)) {
    if (kindOf(state) === 'terminal' || mayHoldNodes(spec, table, host)) continue;
    (leaving[host] ??= []).push(node);
  }
  return leaving;
}
