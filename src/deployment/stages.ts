/** The stages of a deployment, in order: the one table that all lists of stages derive from. Pure. */
import type { Role } from '../cluster/spec.js';

interface StageFacts {
  readonly name: string;
  /** The stage converges hosts to its `desiredItems`. */
  readonly converges?: true;
  /** The stage runs one service, on the hosts with this role. */
  readonly role?: Role;
}

const table = [
  { name: 'preflight' },
  { name: 'secrets' },
  { name: 'install', converges: true },
  { name: 'network', converges: true },
  { name: 'storage', converges: true },
  { name: 'zookeeper', converges: true, role: 'zookeeper' },
  { name: 'masters', converges: true, role: 'master' },
  { name: 'agents', converges: true, role: 'agent' },
  { name: 'image' },
  { name: 'framework' },
  { name: 'etcd' },
  { name: 'keeper', converges: true, role: 'proxy' },
  { name: 'removal' },
  { name: 'verify' },
] as const satisfies readonly StageFacts[];

type Row = (typeof table)[number];
export type StageName = Row['name'];
export type ConvergingStage = Extract<Row, { converges: true }>['name'];
export type ServiceStage = Extract<Row, { role: Role }>['name'];

export const stageNames: readonly StageName[] = table.map(({ name }) => name);
export const convergingStages: readonly ConvergingStage[] = table.flatMap((row) =>
  'converges' in row ? [row.name] : [],
);
/** Each with the role of the hosts that run its service. */
export const serviceStages: readonly { readonly name: ServiceStage; readonly role: Role }[] = table.flatMap(
  (row) => ('role' in row ? [row] : []),
);
