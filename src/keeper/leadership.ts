import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PerijoveError } from '../errors/error.js';
import { gateRule, type ClusterSpec } from '../cluster/spec.js';
import { scope } from '../net/scope.js';
import type { KeeperAccess } from './access.js';
import { patience } from './reconciler.js';
import type { Verdict } from './state.js';

export interface LeadershipInput {
  readonly spec: ClusterSpec;
  readonly generation: number;
  /** Who leads now. */
  readonly verdict: Verdict;
  /** Name of the node that is to lead. */
  readonly to: string;
  /** Whether Jupyter is brought up there first; otherwise leadership moves only when it is ready already. */
  readonly prepare: boolean;
}

export type LeadershipOutcome =
  | { readonly led: true }
  | {
      readonly led: false;
      readonly reason: string;
      /** Jupyter is ready there and the member lives: another attempt may do it. */
      readonly again?: true;
    };

/** From the order until the member must say itself that it leads. */
const moveDeadlineMs = 3_000;
const againMs = 50;

/**
 * Moves etcd's leadership to a node whose Jupyter is ready: users find it there at once. Where gates open by
 * the keeper's word, that word is given first, so the new gate is open before anything else moves. Idempotent:
 * leadership that is there already is left alone.
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
    // An attempt that was held up, while another one did this and more.
    if (target.term > verdict.term) {
      return { led: false, again: true, reason: 'leadership has since moved' };
    }
    // etcd answers when it sees the target lead. Where leadership has gone on by then, it does not answer at all;
    // and an order may have been carried out though its answer was lost. So only the member's word counts.
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

/** Until Jupyter is ready on the node, for at most as long as a reconcile waits. */
async function prepare(
  access: KeeperAccess,
  { spec, generation, verdict, to }: LeadershipInput,
  signal: AbortSignal | undefined,
): Promise<true | string> {
  const startedAt = Date.now();
  if (gateRule(spec) === 'word') {
    try {
      await access.node(to, (client) => client.orderJupyter({ generation, term: verdict.term, serve: true }));
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof PerijoveError)) throw error;
      return messageOf(error);
    }
  }
  for (;;) {
    const ready = await isReady(access, to);
    if (ready === true || Date.now() - startedAt >= patience.jupyterMs) return ready;
    await sleep(patience.againMs, undefined, { signal });
  }
}

/** Asks until it is so, the time is over, or `signal`; and then once more. */
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
