/**
 * Whether a node's gate is open. No clock and no I/O: every `at` is a reading, in ms, of one monotonic clock
 * (`performance.now()`).
 */
import type { GateRule } from '../../cluster/spec.js';
import { raftTermOf, termIn } from '../../etcd/term.js';
import type { Orders } from './orders.js';

/** For how long a read is a proof, from its start. */
export const proofMs = 500;

/** What the node's own etcd member reported about itself. */
export interface MemberView {
  readonly leads: boolean;
  /** Raft term. */
  readonly term: number;
}

/** What is known of the own member; `learn` adds an answer to it. */
export interface Knowledge {
  /** Its last report. */
  readonly member?: MemberView;
  /** When the last successful linearizable read was begun, whoever leads. */
  readonly readAt?: number;
  /** The last such read that began and ended while this member led, in one raft term; `term` has its epoch too. */
  readonly led?: { readonly at: number; readonly term: number };
  /** A read has ended, and the member's report after it is not known yet. */
  readonly pending?: { readonly begunAt: number; readonly epoch: number } | { readonly begunAt?: never };
  /** The newest raft term of an own leadership in which a read was begun. */
  readonly triedTerm?: number;
}

export type Question = 'status' | 'read';

/** An answered request; without `view`, or with `succeeded: false`, there was no answer in time. */
export type Answer =
  | { readonly asked: 'status'; readonly view?: MemberView }
  | {
      readonly asked: 'read';
      readonly begunAt: number;
      readonly succeeded: boolean;
      /** That the read found; 0 if absent. */
      readonly epoch?: number;
    };

export const nothingKnown: Knowledge = {};

/**
 * Requests are sent one after the other. A term has one leader, and a member that lost its leadership leads
 * again only in a later term. So a read between two statuses that name the same own leadership took place
 * within it: a quorum knew of no later term after the read was begun.
 */
export function learn(known: Knowledge, answer: Answer): Knowledge {
  const { member, pending, ...rest } = known;
  const kept = member === undefined ? rest : { ...rest, member };
  if (answer.asked === 'read') {
    const { begunAt, succeeded, epoch = 0 } = answer;
    return {
      ...kept,
      ...(succeeded ? { readAt: begunAt } : {}),
      ...(member?.leads === true
        ? { triedTerm: member.term, pending: succeeded ? { begunAt, epoch } : {} }
        : {}),
    };
  }
  const { view } = answer;
  // Then the read before it proves nothing; the next one may.
  if (view === undefined) return kept;
  const within = member?.leads === true && view.leads && member.term === view.term;
  return {
    ...rest,
    member: view,
    ...(within && pending?.begunAt !== undefined
      ? { led: { at: pending.begunAt, term: termIn(pending.epoch, view.term) } }
      : {}),
  };
}

/**
 * `soon`: a proof must be renewed before it expires. `when-told`: only an election could change the answer,
 * and the member logs those.
 */
export type When = 'at-once' | 'soon' | 'when-told';

/**
 * What to ask the member next, and when. Undefined when no answer could open the gate. A read is sent only
 * when it can prove something.
 */
export function nextQuestion(
  known: Knowledge,
  { rule, order }: Pick<GateFacts, 'rule' | 'order'>,
): { readonly ask: Question; readonly when: When } | undefined {
  if (rule === 'word') return order.serve ? { ask: 'read', when: 'soon' } : undefined;
  const { member, pending, triedTerm } = known;
  if (pending !== undefined) return { ask: 'status', when: 'at-once' };
  if (member?.leads !== true) return { ask: 'status', when: member === undefined ? 'soon' : 'when-told' };
  // Once per leadership: a failing read must not be repeated without a pause.
  return { ask: 'read', when: triedTerm === member.term ? 'soon' : 'at-once' };
}

export interface GateFacts {
  readonly rule: GateRule;
  /** The last order. */
  readonly order: Orders['jupyter'];
  readonly jupyterReady: boolean;
  readonly known: Knowledge;
}

export type GateDecision =
  | {
      readonly open: true;
      readonly closing: boolean;
      readonly term: number;
      /** When this decision expires, unless a newer one replaces it. */
      readonly until: number;
      readonly reason: string;
    }
  | {
      readonly open: false;
      /** Another node serves now, and open requests may end; otherwise all stop. */
      readonly inOrder: boolean;
      readonly reason: string;
    };

/**
 * By `reflex`: open while the own member leads, which a read within the last 500 ms must prove. When the
 * member is known to lead no longer, the gate is closing, and it shuts when the proof is 500 ms old: the new
 * leader's gate is open by then, so users always find one of the two. By `word`: open while the keeper orders
 * it and the member is in touch with a quorum, whoever leads.
 */
export function decideGate({ rule, order, jupyterReady, known }: GateFacts, now: number): GateDecision {
  if (rule === 'word') {
    if (!order.serve)
      return { open: false, inOrder: true, reason: 'the keeper has not ordered this node to serve' };
    if (!jupyterReady) return shut('Jupyter is not ready');
    const until = (known.readAt ?? -Infinity) + proofMs;
    if (now >= until) return shut(`no linearizable read within ${proofMs} ms`);
    return {
      open: true,
      closing: false,
      term: order.term,
      until,
      reason: 'the keeper has ordered this node to serve',
    };
  }
  if (!jupyterReady) return shut('Jupyter is not ready');
  const { member, led } = known;
  if (led === undefined) return shut('the etcd member of this node does not lead');
  const moved =
    order.term > led.term ||
    (member !== undefined && (!member.leads || member.term !== raftTermOf(led.term)));
  const until = led.at + proofMs;
  if (now >= until) {
    return moved
      ? { open: false, inOrder: true, reason: 'the etcd member of this node no longer leads' }
      : shut(`no linearizable read within ${proofMs} ms`);
  }
  return { open: true, closing: moved, term: led.term, until, reason: 'the etcd member of this node leads' };
}

function shut(reason: string): GateDecision {
  return { open: false, inOrder: false, reason };
}
