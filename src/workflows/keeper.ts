import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  ActivityCancellationType,
  ActivityFailure,
  condition,
  continueAsNew,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { KeeperActivities } from '../activities/keeper.js';
import {
  adopt,
  conclude,
  concludeFailed,
  decide,
  giveUpReturning,
  initialState,
  knownOf,
  note,
  outcomeOf,
  pause,
  pauseMs,
  phaseOf,
  respecified,
  resume,
  withIncident,
  type ReconcileResult,
  type WatchEvent,
} from '../keeper/decide.js';
import {
  announceNodes,
  configureKeeper,
  keeperState,
  memoKeys,
  moveJupyter,
  noteIncident,
  pauseKeeper,
  resumeKeeper,
  searchAttributes,
  stopKeeper,
  type KeeperEvent,
  type KeeperInput,
  type KeeperState,
  type MoveResult,
} from '../temporal/contract.js';
import { endless, quick } from '../temporal/options.js';
import { failure } from './failure.js';
import { compact, details, wordsOf } from './keeper-state.js';

// Two reconciles at a time could undo each other's work: a cancelled one is waited for.
const oneAtATime = { ...quick, cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED };

const { watchCluster } = proxyActivities<KeeperActivities>({
  ...endless,
  summary: 'watch etcd, nodes and proxies',
});
const { reconcileCluster, moveLeadership } = proxyActivities<KeeperActivities>(oneAtATime);

const stageKey = defineSearchAttributeKey(searchAttributes.stage, 'KEYWORD');
/** Each adoption is of a higher generation than the one before; more in a row would mean two keepers. */
const mostAdoptions = 5;

/** A planned move that somebody waits for. */
interface Move {
  readonly to: string;
  readonly from: string | undefined;
  readonly startedAt: number;
  /** Leadership is there, and a verdict is to tell so. */
  led: boolean;
  outcome?: MoveResult | ApplicationFailure;
}

/**
 * Keeps Jupyter on the node that leads etcd, and every host's proxy leading there: watches until there is
 * something to do, decides, reconciles, and watches again, for ever. An idle keeper adds no history.
 */
export async function keeper(input: KeeperInput): Promise<void> {
  const cluster = input.spec.name;
  let { spec } = input;
  let state: KeeperState = { ...initialState, ...input.state };
  let stopping = false;
  /** The first one to hand over a spec is who started it. */
  let isNew = input.state === undefined;
  let underWay: CancellationScope | undefined;
  let move: Move | undefined;
  let published: { readonly doing?: string; readonly memo?: string; readonly phase?: string } = {};

  const say = (kind: KeeperEvent['kind'], what: string): void => {
    state = note(state, kind, what, new Date().toISOString());
  };

  const publish = (doing: string): void => {
    setCurrentDetails(details(cluster, state, doing));
    const memo = JSON.stringify(compact(state));
    const phase = phaseOf(state);
    if (memo !== published.memo) upsertMemo({ [memoKeys.state]: compact(state) });
    if (phase !== published.phase) upsertSearchAttributes([{ key: stageKey, value: phase }]);
    published = { doing, memo, phase };
  };

  /** Resolves to undefined when `configure` or `stop` came in between. */
  const interruptible = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    const scope = new CancellationScope();
    underWay = scope;
    try {
      return await scope.run(work);
    } catch (error) {
      const own = isCancellation(error) && !CancellationScope.current().consideredCancelled;
      if (own) return undefined;
      throw error;
    } finally {
      underWay = undefined;
    }
  };

  const carryOut = async (before: KeeperState, event: WatchEvent): Promise<void> => {
    for (let adoptions = 0; ; adoptions++) {
      const { verdict, generation } = state;
      const used = spec;
      if (!verdict) return;
      const summary = `generation ${generation}: Jupyter to ${verdict.leader}`;
      const result = await interruptible<ReconcileResult>(() =>
        reconcileCluster.executeWithOptions({ ...oneAtATime, summary }, [{ spec, generation, verdict }]),
      );
      if (!result) return;
      if (result.stale === undefined || adoptions === mostAdoptions) {
        state = conclude(before, state, event, result, new Date().toISOString());
        say('done', outcomeOf(result));
        // It came with the very answer of this reconcile.
        if (spec !== used) state = respecified(state);
        return;
      }
      log.warn('a higher generation is in force; taking it over', { generation, stale: result.stale });
      state = adopt(state, result.stale);
    }
  };

  const endMove = (outcome: MoveResult | ApplicationFailure): void => {
    if (!move) return;
    move.outcome = outcome;
    say(outcome instanceof ApplicationFailure ? 'failed' : 'moved', wordsOf(move.to, outcome));
    move = undefined;
  };

  /** Jupyter and leadership to where they are wanted; the verdict that follows does the rest. */
  const beginMove = async ({ to }: Move): Promise<void> => {
    const { verdict, generation } = state;
    if (!verdict) return;
    const summary = `planned move: Jupyter and leadership to ${to}`;
    publish(summary);
    const outcome = await interruptible(() =>
      moveLeadership.executeWithOptions({ ...oneAtATime, summary }, [
        { spec, generation, verdict, to, prepare: true },
      ]),
    );
    // It was cancelled for a new spec: it is begun again with that one.
    if (!outcome || !move) return;
    if (!outcome.led) {
      endMove(failure('MOVE_FAILED', `Jupyter was not moved to ${to}: ${outcome.reason}`));
      return;
    }
    if (spec.jupyter.follow === 'sticky') state = { ...state, home: to };
    move.led = true;
  };

  /** A planned move is over with the first reconcile after leadership was there. */
  const settleMove = (): void => {
    if (!move?.led) return;
    const { to, from, startedAt } = move;
    const { verdict, jupyter, generation } = state;
    endMove(
      verdict?.leader === to && jupyter === to
        ? {
            moved: true,
            to,
            generation,
            tookMs: Date.now() - startedAt,
            ...(from !== undefined && { from }),
          }
        : failure(
            'MOVE_FAILED',
            verdict?.leader === to
              ? `leadership is at ${to}, where Jupyter does not answer`
              : `leadership went on to ${verdict?.leader ?? 'nobody'}`,
          ),
    );
  };

  const act = async (event: WatchEvent): Promise<void> => {
    const before = state;
    const { state: next, decision } = decide(state, event, spec.jupyter.follow);
    state = next;
    const { action, reason } = decision;
    log.info('decided', { action, reason, generation: state.generation });
    say(event.kind === 'lost' ? 'lost' : 'found', reason);
    publish(reason);
    switch (action) {
      case 'hold':
        return;
      case 'reconcile':
        return carryOut(before, event);
      case 'return': {
        const { to, verdict } = decision;
        const summary = `leadership back to ${to}`;
        const { generation } = state;
        const outcome = await interruptible(() =>
          moveLeadership.executeWithOptions({ ...oneAtATime, summary }, [
            { spec, generation, verdict, to, prepare: false },
          ]),
        );
        if (!outcome) return;
        say('returned', outcome.led ? `leadership is back at ${to}` : `leadership stays: ${outcome.reason}`);
        // Users are served meanwhile: the next event tells where leadership is.
        if (outcome.led || outcome.again) return;
        state = giveUpReturning(state);
        return act(event);
      }
    }
  };

  setHandler(keeperState, () => state);
  setHandler(
    moveJupyter,
    async (to) => {
      if (state.verdict?.leader === to && state.jupyter === to) {
        return { moved: false, from: to, to, generation: state.generation, tookMs: 0 };
      }
      const wanted: Move = { to, from: state.jupyter, startedAt: Date.now(), led: false };
      move = wanted;
      underWay?.cancel();
      await condition(() => wanted.outcome !== undefined);
      if (wanted.outcome instanceof ApplicationFailure) throw wanted.outcome;
      return wanted.outcome as MoveResult;
    },
    {
      validator: (to: string) => {
        if (!nodeNames(spec).includes(to)) throw failure('NODE_UNKNOWN', `${cluster} has no node ${to}`);
        if (state.paused) throw failure('KEEPER_PAUSED', `the keeper is paused since ${state.paused.since}`);
        if (move) throw failure('MOVE_UNDER_WAY', `Jupyter is being moved to ${move.to}`);
        if (!state.verdict) throw failure('MOVE_FAILED', 'etcd has no leader that the keeper knows of');
      },
    },
  );
  setHandler(pauseKeeper, ({ reason }) => {
    if (state.paused) return { changed: false };
    state = pause(state, new Date().toISOString(), reason);
    say('paused', `paused${reason === undefined ? '' : `: ${reason}`}`);
    endMove(failure('KEEPER_PAUSED', 'the keeper was paused before the move was over'));
    underWay?.cancel();
    return { changed: true };
  });
  setHandler(resumeKeeper, () => {
    if (!state.paused) return { changed: false };
    state = resume(state);
    say('resumed', 'goes on');
    return { changed: true };
  });
  setHandler(noteIncident, (incident) => {
    const next = withIncident(state, incident);
    if (next === state) return;
    state = next;
    say('done', incident.what);
    publish(published.doing ?? 'watching');
  });
  setHandler(
    configureKeeper,
    (next) => {
      const differs = JSON.stringify(next) !== JSON.stringify(spec);
      const changed = isNew || differs;
      isNew = false;
      if (differs) {
        spec = next;
        state = respecified(state);
        say('spec', 'goes on with another spec');
        underWay?.cancel();
      }
      return { changed };
    },
    {
      validator: (next: ClusterSpec) => {
        if (next.name === cluster) return;
        throw ApplicationFailure.nonRetryable(`this is the keeper of ${cluster}`, 'SPEC_DIFFERS');
      },
    },
  );
  setHandler(announceNodes, (count) => {
    const changed = count > spec.nodes.count;
    if (changed) {
      spec = { ...spec, nodes: { ...spec.nodes, count } };
      state = respecified(state);
      say('spec', `${count} nodes may lead from now on`);
      underWay?.cancel();
    }
    return { changed };
  });
  setHandler(stopKeeper, () => {
    stopping = true;
    endMove(failure('KEEPER_ABSENT', 'the keeper was stopped before the move was over'));
    underWay?.cancel();
  });

  while (!stopping) {
    if (state.paused) {
      publish('paused');
      await condition(() => stopping || !state.paused);
      continue;
    }
    try {
      if (move && !move.led) await beginMove(move);
      // Heard of meanwhile: nothing is begun any more.
      if (stopping || state.paused) continue;
      publish('watching');
      const { generation } = state;
      const event = await interruptible(() => watchCluster({ spec, generation, known: knownOf(state) }));
      if (!event || stopping || state.paused) continue;
      await act(event);
      settleMove();
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      const message = error.cause?.message ?? error.message;
      log.error('an activity gave up', { message });
      state = concludeFailed(state, message);
      say('failed', message);
      endMove(failure('MOVE_FAILED', message));
      publish('waiting after an error');
      await interruptible(() => sleep(pauseMs(state.repairs)));
    }
    // A handler of a move waits for this very loop.
    if (!stopping && !move && workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      if (!stopping && !move) await continueAsNew<typeof keeper>({ spec, state });
    }
  }
  publish('stopped');
  await condition(allHandlersFinished);
}
