import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  ActivityCancellationType,
  ActivityFailure,
  condition,
  isCancellation,
  log,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  sleep,
  upsertMemo,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { KeeperActivities } from '../activities/keeper.js';
import { isSameData } from '../cluster/canonical.js';
import { anything, map, optional } from '../cluster/flaws.js';
import { hostKeysOf, withHostKeys, withoutHostKeys } from '../cluster/host-keys.js';
import type { ClusterIdentity } from '../cluster/identity.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { knownOf, pauseMs, phaseOf, type Decision, type WatchEvent } from '../keeper/decide.js';
import {
  configured,
  decided,
  failed,
  firstMemory,
  incidentNoted,
  moveAwaitsJupyter,
  moveDeferred,
  moveLeftMs,
  moveOrdered,
  moveRefusal,
  moveSettled,
  moveWanted,
  nodesAnnounced,
  paused,
  reconciled,
  resumed,
  returned,
  stopped,
  type Asked,
  type KeeperMemory,
  type Move,
} from '../keeper/reducer.js';
import {
  announceNodes,
  configureKeeper,
  keeperState,
  memoKeys,
  moveJupyter,
  noteIncident,
  pauseKeeper,
  renewKeeper,
  resumeKeeper,
  searchAttributes,
  stopKeeper,
  type KeeperInput,
  type KeeperState,
  type MoveResult,
  type PauseInput,
} from '../temporal/contract.js';
import { endless, quick } from '../temporal/options.js';
import { growingActivities } from './growing.js';
import { failure } from './failure.js';
import { ensureClusterAttribute, requireFirstInput, requireSpec } from './input.js';
import { pinned } from './pinned.js';
import { continueOnCurrentBuild, isHistoryLong } from './history.js';
import { identified, identityRejection, publishIdentity } from './identity.js';
import { compact, details } from './keeper-state.js';
import { handleUpdate } from './updates.js';

// Two concurrent reconciles could undo each other's work: a cancelled one is waited for.
const oneAtATime = { ...quick, cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED };

const { watchCluster } = proxyActivities<KeeperActivities>({
  ...endless,
  summary: 'watch etcd, nodes and proxies',
});
const { reconcileCluster, moveLeadership } = growingActivities<KeeperActivities>(oneAtATime);

const stageKey = defineSearchAttributeKey(searchAttributes.stage, 'KEYWORD');

/**
 * Keeps Jupyter on the node that leads etcd, and every host's proxy routing to it: watches until there is
 * something to do, decides, reconciles, and watches again, forever. An idle keeper adds no history.
 */
export async function keeper(input: KeeperInput): Promise<void> {
  requireFirstInput<KeeperInput>('keeper', input, {
    spec: clusterSpec,
    identity: optional(map(anything)),
    state: optional(map(anything)),
  });
  ensureClusterAttribute(input.spec.name);
  const run = new KeeperRun(input);
  run.listen();
  await run.untilStopped();
}
setWorkflowOptions(pinned, keeper);

/**
 * One run of the workflow: its memory, and the operation in progress. Only the reducer changes the memory.
 */
class KeeperRun {
  private memory: KeeperMemory;
  private identity: ClusterIdentity | undefined;
  private underWay: CancellationScope | undefined;
  /** The operation in progress only waits for something to do. */
  private isIdle = false;
  /** A new run was asked for. */
  private renewing = false;
  private published: { readonly doing?: string; readonly memo?: string; readonly phase?: string } = {};

  constructor(input: KeeperInput) {
    this.memory = firstMemory(input.spec, input.state);
    this.identify(input.identity);
  }

  async untilStopped(): Promise<void> {
    while (!this.memory.stopping) {
      if (this.memory.state.paused) {
        this.publish('paused');
        await condition(() => this.isHeld() !== 'paused' || (this.renewing && this.isFree()));
        if (this.renewing) await this.renew();
        continue;
      }
      let isOver = true;
      try {
        isOver = await this.turn();
      } catch (error) {
        await this.giveUp(error);
      }
      if (isOver || this.renewing) await this.renew();
    }
    this.publish('stopped');
    await condition(allHandlersFinished);
  }

  /** Whether nothing new may begin. Checked again after each wait: a handler may have changed it. */
  private isHeld(): 'stopping' | 'paused' | undefined {
    if (this.memory.stopping) return 'stopping';
    return this.memory.state.paused ? 'paused' : undefined;
  }

  /** Begins or continues a planned move; watches, and follows up. False when it was interrupted. */
  private async turn(): Promise<boolean> {
    const { move } = this.memory;
    if (move && !move.led) await this.order(move);
    if (this.isHeld()) return false;
    if (this.renewing && this.isFree()) return true;
    this.publish('watching');
    const leftMs = moveLeftMs(this.memory, new Date());
    const event = await this.watch(leftMs);
    if (this.isHeld()) return false;
    if (event) await this.follow(event);
    else if (leftMs === undefined || moveLeftMs(this.memory, new Date()) !== 0) return false;
    this.settle();
    return true;
  }

  /** Resolves to undefined when it was interrupted, or after `limitMs`. */
  private watch(limitMs: number | undefined): Promise<WatchEvent | undefined> {
    const { spec, state } = this.memory;
    const work = () =>
      watchCluster({ spec: this.identified(spec), generation: state.generation, known: knownOf(state) });
    return this.idle(() =>
      limitMs === undefined ? work() : CancellationScope.withTimeout(Math.max(1, limitMs), work),
    );
  }

  /** Ends a planned move whose outcome is known by now. */
  private settle(): void {
    const isDue = moveLeftMs(this.memory, new Date()) === 0;
    const waits = !isDue && moveAwaitsJupyter(this.memory) && patched('move-awaits-jupyter');
    this.memory = waits ? moveDeferred(this.memory) : moveSettled(this.memory, new Date());
  }

  /** Moves Jupyter and leadership to their target. Cancelled for a new spec, it begins again with it. */
  private async order({ to }: Move): Promise<void> {
    const { spec, state } = this.memory;
    const { verdict, generation } = state;
    if (!verdict) return;
    const summary = `planned move: Jupyter and leadership to ${to}`;
    this.publish(summary);
    const outcome = await this.interruptible(() =>
      moveLeadership.executeWithOptions({ ...oneAtATime, summary }, [
        { spec: this.identified(spec), generation, verdict, to, prepare: true },
      ]),
    );
    if (outcome) this.memory = moveOrdered(this.memory, outcome, new Date());
  }

  private async follow(event: WatchEvent): Promise<void> {
    const { memory, before, decision } = decided(this.memory, event, new Date());
    this.memory = memory;
    const { action, reason } = decision;
    log.info('decided', { action, reason, generation: memory.state.generation });
    this.publish(reason);
    switch (action) {
      case 'hold':
        return;
      case 'reconcile':
        return this.reconcile(before, event);
      case 'return':
        return this.moveBack(decision, event);
    }
  }

  private async reconcile(before: KeeperState, event: WatchEvent): Promise<void> {
    for (let adoptions = 0; ; adoptions++) {
      const { spec } = this.memory;
      const { verdict, generation } = this.memory.state;
      if (!verdict) return;
      const summary = `generation ${generation}: Jupyter to ${verdict.leader}`;
      const result = await this.interruptible(() =>
        reconcileCluster.executeWithOptions({ ...oneAtATime, summary }, [
          { spec: this.identified(spec), generation, verdict },
        ]),
      );
      if (!result) return;
      const { memory, again } = reconciled(
        this.memory,
        { before, event, spec, adoptions },
        result,
        new Date(),
      );
      this.memory = memory;
      if (!again) return;
      log.warn('a higher generation is in force; adopting it', { generation, stale: result.stale });
    }
  }

  private async moveBack(
    { to, verdict }: Extract<Decision, { action: 'return' }>,
    event: WatchEvent,
  ): Promise<void> {
    const { spec, state } = this.memory;
    const summary = `leadership back to ${to}`;
    const outcome = await this.interruptible(() =>
      moveLeadership.executeWithOptions({ ...oneAtATime, summary }, [
        { spec: this.identified(spec), generation: state.generation, verdict, to, prepare: false },
      ]),
    );
    if (!outcome) return;
    const { memory, again } = returned(this.memory, to, outcome, new Date());
    this.memory = memory;
    if (again) await this.follow(event);
  }

  private async giveUp(error: unknown): Promise<void> {
    if (!(error instanceof ActivityFailure)) throw error;
    const message = error.cause?.message ?? error.message;
    log.error('an activity failed', { message });
    this.memory = failed(this.memory, message, new Date());
    this.publish('waiting after an error');
    await this.idle(() => sleep(pauseMs(this.memory.state.repairs)));
  }

  /** A handler of a move waits for this very loop. */
  private isFree(): boolean {
    return !this.memory.stopping && !this.memory.move;
  }

  /** Starts a new run when the history is long, or when one was asked for. */
  private async renew(): Promise<void> {
    if (!this.isFree() || !(this.renewing || isHistoryLong())) return;
    await condition(allHandlersFinished);
    const { spec, state } = this.memory;
    const { identity } = this;
    if (this.isFree()) {
      await continueOnCurrentBuild<typeof keeper>({ spec, state, ...(identity && { identity }) });
    }
  }

  /** Like `interruptible`, for what merely waits: a new run may begin instead. */
  private async idle<T>(work: () => Promise<T>): Promise<T | undefined> {
    this.isIdle = true;
    try {
      return await this.interruptible(work);
    } finally {
      this.isIdle = false;
    }
  }

  /** Resolves to undefined when it was interrupted. */
  private async interruptible<T>(work: () => Promise<T>): Promise<T | undefined> {
    const scope = new CancellationScope();
    this.underWay = scope;
    try {
      return await scope.run(work);
    } catch (error) {
      const own = isCancellation(error) && !CancellationScope.current().consideredCancelled;
      if (own) return undefined;
      throw error;
    } finally {
      this.underWay = undefined;
    }
  }

  /** Publishes what is being done, and stores changes. */
  private publish(doing: string): void {
    const { spec, state } = this.memory;
    setCurrentDetails(details(spec.name, state, doing));
    const memo = JSON.stringify(compact(state));
    const phase = phaseOf(state);
    if (memo !== this.published.memo) upsertMemo({ [memoKeys.state]: compact(state) });
    if (phase !== this.published.phase) upsertSearchAttributes([{ key: stageKey, value: phase }]);
    this.published = { doing, memo, phase };
  }

  // --- requests -------------------------------------------------------------------------------------------

  listen(): void {
    setHandler(keeperState, () => this.memory.state);
    handleUpdate(
      moveJupyter,
      (to) => this.move(to),
      (to) => {
        const refusal = moveRefusal(this.memory, to);
        if (refusal) throw failure(refusal.code, refusal.message);
      },
    );
    handleUpdate(pauseKeeper, (given?: PauseInput) =>
      this.take(paused(this.memory, given?.reason, new Date())),
    );
    handleUpdate(resumeKeeper, () => {
      const { memory, changed } = resumed(this.memory, new Date());
      this.memory = memory;
      return { changed };
    });
    handleUpdate(noteIncident, (incident) => {
      const { memory, changed } = incidentNoted(this.memory, incident, new Date());
      this.memory = memory;
      if (changed) this.publish(this.published.doing ?? 'watching');
    });
    handleUpdate(
      configureKeeper,
      (spec, identity?: ClusterIdentity) => this.configure(spec, identity),
      (spec, identity?: ClusterIdentity) => {
        requireSpec('keeper', spec);
        const { name } = spec;
        const cluster = this.memory.spec.name;
        if (name !== cluster) {
          throw ApplicationFailure.nonRetryable(`this is the keeper of ${cluster}`, 'SPEC_DIFFERS');
        }
        const taken = identityRejection(cluster, this.identity, identity);
        if (taken !== undefined) throw ApplicationFailure.nonRetryable(taken, 'CLUSTER_NAME_TAKEN');
      },
    );
    handleUpdate(announceNodes, (count) => this.take(nodesAnnounced(this.memory, count, new Date())));
    handleUpdate(renewKeeper, () => {
      this.renewing = true;
      if (this.isIdle) this.underWay?.cancel();
    });
    handleUpdate(stopKeeper, () => {
      this.memory = stopped(this.memory, new Date());
      this.underWay?.cancel();
    });
  }

  /** Continues with the request; an operation in progress is interrupted, and begun again with it. */
  private take({ memory, changed }: Asked): { readonly changed: boolean } {
    this.memory = memory;
    if (changed) this.underWay?.cancel();
    return { changed };
  }

  private identified(spec: ClusterSpec): ClusterSpec {
    return identified(spec, this.identity);
  }

  /** Keeps the identity of the cluster, and publishes it if it is another than before. */
  private identify(identity: ClusterIdentity | undefined): void {
    if (identity === undefined || isSameData(identity, this.identity)) return;
    this.identity = identity;
    publishIdentity(identity);
  }

  private configure(
    given: ClusterSpec,
    identity: ClusterIdentity | undefined,
  ): { readonly changed: boolean } {
    this.identify(identity);
    const present = hostKeysOf(this.memory.spec.hosts);
    const spec = withHostKeys(given, present);
    const [asked, inForce] = [withoutHostKeys(spec), withoutHostKeys(this.memory.spec)];
    const isSame =
      JSON.stringify(asked) === JSON.stringify(inForce) ||
      // Earlier histories contain the effects of a spec with its keys in another order.
      (isSameData(asked, inForce) && patched('spec-as-data'));
    const { memory, changed } = configured(this.memory, spec, { differs: !isSame, now: new Date() });
    const isRekeyed = isSame && !isSameData(hostKeysOf(spec.hosts), present);
    this.memory = isRekeyed ? { ...memory, spec } : memory;
    if (!isSame || isRekeyed) this.underWay?.cancel();
    return { changed };
  }

  private async move(to: string): Promise<MoveResult> {
    const { memory, number } = moveWanted(this.memory, to, new Date());
    if (number === undefined) {
      return { moved: false, from: to, to, generation: memory.state.generation, tookMs: 0 };
    }
    this.memory = memory;
    this.underWay?.cancel();
    await condition(() => this.memory.move?.number !== number);
    const { ended } = this.memory;
    if (ended?.number !== number) throw failure('INTERNAL', `the outcome of the move to ${to} is unknown`);
    if ('moved' in ended.outcome) return ended.outcome;
    throw failure(ended.outcome.code, ended.outcome.message);
  }
}
