import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PerijoveError } from '../errors/error.js';
import { gateRule, type ClusterSpec } from '../cluster/spec.js';
import { raftTermOf } from '../etcd/term.js';
import { scope } from '../net/scope.js';
import type { KeeperAccess } from './access.js';
import { patience } from './reconciler.js';
import type { Verdict } from './state.js';

export interface LeadershipInput {
  readonly spec: ClusterSpec;
  readonly generation: number;
  /** The current leader. */
  readonly verdict: Verdict;
  /** Name of the node that should lead. */
  readonly to: string;
  /** Whether to start Jupyter there first; otherwise leadership moves only if it is already ready. */
  readonly prepare: boolean;
}

export type LeadershipOutcome =
  | { readonly led: true }
  | {
      readonly led: false;
      readonly reason: string;
      /** Jupyter is ready there and its member is alive: another attempt may succeed. */
      readonly again?: true;
    };

/** From the order until the member must confirm that it leads. */
const moveDeadlineMs = 3_000;
const againMs = 50;

/**
 * Moves etcd's leadership to a node whose Jupyter is ready, so that users find it there at once. Where gates
 * open only by the keeper's order, that order comes first, so that the new gate is open before anything else
 * moves. Idempotent: does nothing if the node already leads.
 *
 * Resolves when the node's member leads and serves a linearizable read, or with the reason why it does not.
 */
export async function moveLeadership(
  access: KeeperAccess,
  input: LeadershipInput,
  signal?: AbortSignal,
): Promise<LeadershipOutcome> {
  const { verdict, to } = input;
  const ready = input.prepare ? await prepare(access, input, signal) : await isReady(access, to);
  if (ready !== true) return { led: false, reason: ready };
  const target = await access.member(to);
  if (!target.ok)
    return { led: false, reason: `the etcd member of ${to} does not respond: ${target.reason}` };
  const move = scope(signal);
  let refusal: string | undefined;
  if (target.leader !== target.memberId) {
    // This attempt was delayed, and another one did this and more.
    if (target.term > raftTermOf(verdict.term)) {
      return { led: false, again: true, reason: 'leadership has since moved' };
    }
    // etcd replies once it sees the target lead. If leadership has moved on by then, it does not reply at
    // all; and a transfer may have succeeded though its reply was lost. So only the member's own status
    // counts.
    void access
      .etcd(verdict.leader, (client) => client.moveLeader(target.memberId, { deadlineMs: moveDeadlineMs }))
      .catch((error: unknown) => {
        refusal = messageOf(error);
        move.abort();
      });
  }
  const led = await leads(access, to, move.signal).finally(move.end);
  signal?.throwIfAborted();
  if (led) return { led: true };
  return { led: false, again: true, reason: refusal ?? `the etcd member of ${to} does not lead` };
}

async function isReady(access: KeeperAccess, node: string): Promise<true | string> {
  try {
    const { jupyter } = await access.node(node, (client) => client.status());
    return jupyter.state === 'ready' ? true : `Jupyter on ${node} is ${jupyter.state}`;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Starts Jupyter on the node if it does not run there, and waits until it is ready, at most as long as a reconcile
 * waits. Whether the node starts it automatically is not this spec's decision: while `up` replaces the nodes one by
 * one, some have the next spec.
 */
async function prepare(
  access: KeeperAccess,
  { spec, generation, verdict, to }: LeadershipInput,
  signal: AbortSignal | undefined,
): Promise<true | string> {
  const startedAt = Date.now();
  const order = () =>
    access.node(to, (client) => client.orderJupyter({ generation, term: verdict.term, serve: true }));
  let ordered = gateRule(spec) === 'word';
  try {
    if (ordered) await order();
    for (;;) {
      const ready = await isReady(access, to);
      if (ready === true || Date.now() - startedAt >= patience.jupyterMs) return ready;
      if (!ordered) await order();
      ordered = true;
      await sleep(patience.againMs, undefined, { signal });
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof PerijoveError)) throw error;
    return messageOf(error);
  }
}

/** Polls until the node leads, the time limit expires, or the signal aborts; then once more. */
async function leads(access: KeeperAccess, node: string, signal: AbortSignal): Promise<boolean> {
  const until = Date.now() + moveDeadlineMs;
  for (;;) {
    const isLast = signal.aborted || Date.now() >= until;
    const probe = await access.member(node);
    if (probe.ok && probe.leader === probe.memberId && probe.linearizable) return true;
    if (isLast) return false;
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
}
