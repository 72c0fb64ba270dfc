/** Decides whether a lost quorum of etcd may be recovered, and from which member. Pure. */
import { majority } from '../cluster/spec.js';
import type { ErrorCode } from '../errors/codes.js';
import type { SeedSource } from './decide.js';
import { highestEpoch } from './term.js';
import type { Position } from './wal.js';

/** What a node keeps of etcd. */
export type KeptData =
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable'; readonly why: string }
  | ({ readonly kind: 'member'; readonly epoch: number } & Position);

export interface SurveyedNode {
  readonly node: string;
  /** Where it was launched last; absent if no host that could be read has a tree of it. */
  readonly host?: string;
  /** The highest epoch that it knows. */
  readonly epoch: number;
  readonly data: KeptData;
  /** Its task runs, as far as the framework knows. */
  readonly runs: boolean;
}

/** A host that could not be read. */
export interface UnreadHost {
  readonly host: string;
  readonly why: string;
}

export interface EtcdSurvey {
  /** Every node of the spec, by index. */
  readonly nodes: readonly SurveyedNode[];
  /** The highest epoch that the workflows know. */
  readonly epoch: number;
  readonly unread: readonly UnreadHost[];
  /** Node whose member a quorum follows. */
  readonly leader?: string;
}

export interface RecoveryPlan {
  /** That begins. */
  readonly epoch: number;
  /** With which node. */
  readonly seed: string;
  /** Of that node. */
  readonly host: string;
  readonly from: SeedSource;
}

export type RecoveryDecision =
  | { readonly kind: 'recover'; readonly plan: RecoveryPlan; readonly reason: string }
  | { readonly kind: 'refuse'; readonly code: ErrorCode; readonly reason: string; readonly remedy?: string };

/**
 * From the member that knows the most, or from nothing if none has data. Refused while a quorum responds, while one
 * could still return, and while that is not known.
 *
 * @param lost hosts and nodes that an operator gave up: their data does not count
 */
export function decideRecovery(
  { nodes, epoch: known, unread, leader }: EtcdSurvey,
  lost: readonly string[],
): RecoveryDecision {
  if (leader !== undefined) {
    return refuse('ETCD_HAS_QUORUM', `etcd has a quorum: ${leader} leads`);
  }
  const unknown = unread.filter(({ host }) => !lost.includes(host));
  if (unknown.length > 0) {
    const hosts = unknown.map(({ host, why }) => `${host} (${why})`).join('; ');
    return refuse(
      'ETCD_DATA_UNKNOWN',
      `the data of etcd on some hosts is not known: ${hosts}`,
      `Restore the connection to these hosts. If they will not come back: \`--lost ${unknown.map(({ host }) => host).join(',')}\`.`,
    );
  }
  const counted = nodes.filter(
    ({ node, host }) => !lost.includes(node) && !(host !== undefined && lost.includes(host)),
  );
  const unreadable = counted.flatMap(({ node, data }) =>
    data.kind === 'unreadable' ? [{ node, why: data.why }] : [],
  );
  if (unreadable.length > 0) {
    const which = unreadable.map(({ node, why }) => `${node} (${why})`).join('; ');
    return refuse(
      'ETCD_DATA_UNKNOWN',
      `the data of etcd of some nodes cannot be read: ${which}`,
      `If the data is damaged: \`--lost ${unreadable.map(({ node }) => node).join(',')}\`.`,
    );
  }
  const members = counted.flatMap((each) =>
    each.data.kind === 'member' ? [{ ...each, data: each.data }] : [],
  );
  const newestEpoch = Math.max(0, ...members.map(({ data }) => data.epoch));
  const current = members.filter(({ data }) => data.epoch === newestEpoch);
  const needed = majority(nodes.length);
  if (current.length >= needed) {
    const names = current.map(({ node }) => node);
    return refuse(
      'ETCD_QUORUM_INTACT',
      `${names.length} of ${nodes.length} members have their data (${names.join(', ')}); ${needed} are a quorum`,
    );
  }
  const epoch = Math.max(known, newestEpoch, ...nodes.map((each) => each.epoch)) + 1;
  if (epoch > highestEpoch) return refuse('INTERNAL', `there is no epoch above ${highestEpoch}`);
  return choose(counted, current.toSorted(byKnowledge), epoch);
}

type WithData = SurveyedNode & { readonly data: Extract<KeptData, { kind: 'member' }> };

function choose(
  counted: readonly SurveyedNode[],
  [newest]: readonly WithData[],
  epoch: number,
): RecoveryDecision {
  if (newest?.host !== undefined) {
    const { node, host, data } = newest;
    return {
      kind: 'recover',
      plan: { epoch, seed: node, host, from: 'data' },
      reason: `${node} on ${host} knows the most: term ${data.term}, index ${data.index}`,
    };
  }
  const places = counted.filter(({ host }) => host !== undefined);
  const place = places.find(({ runs }) => runs) ?? places[0];
  if (place?.host === undefined) {
    return refuse('ETCD_NO_NODE', 'no host has a node with which etcd could begin');
  }
  return {
    kind: 'recover',
    plan: { epoch, seed: place.node, host: place.host, from: 'nothing' },
    reason: 'no member has data left',
  };
}

function byKnowledge({ data: a }: WithData, { data: b }: WithData): number {
  return b.term - a.term || b.index - a.index;
}

function refuse(code: ErrorCode, reason: string, remedy?: string): RecoveryDecision {
  return { kind: 'refuse', code, reason, ...(remedy !== undefined && { remedy }) };
}
