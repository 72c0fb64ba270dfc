import {
  ActivityCancellationType,
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  log,
  patched,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { UpdateDefinition } from '@temporalio/common';
import type { FrameworkActivities } from '../activities/framework.js';
import type { ErrorCode } from '../errors/codes.js';
import {
  claimScheduler,
  configureFramework,
  fenceHost,
  frameworkState,
  markEtcdFormed,
  memoKeys,
  stopFramework,
  storeFencing,
  storeFrameworkId,
  storeIntents,
  storeMasters,
  storeMesos,
  storeMissing,
  storeRetiring,
  storeTaskUpdates,
  type FrameworkInput,
  type FrameworkState,
  type SchedulerLease,
  type StopFrameworkResult,
} from '../temporal/contract.js';
import { endless, quick } from '../temporal/options.js';
import { compact, remember, withoutHistory } from '../mesos/scheduler/framework-events.js';
import { lastWord } from './failure.js';
import {
  carriedOver,
  claim,
  claimRejection,
  configure,
  details,
  fence,
  fenceRejection,
  firstMemory,
  frameworkIdRejection,
  intentsRejection,
  leaseRejection,
  sameJson,
  withFailure,
  withFencing,
  withFrameworkId,
  withIntents,
  withMasters,
  withMesos,
  withMissing,
  withRetiring,
  withTaskUpdates,
} from './framework-state.js';

const { runScheduler } = proxyActivities<FrameworkActivities>({
  ...endless,
  // The next scheduler starts when this one has let go, so that they do not take Mesos from each other.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  summary: 'scheduler of the Mesos framework',
});
const { teardownFramework } = proxyActivities<FrameworkActivities>({
  ...quick,
  // Mesos may be down already, or for good: whoever takes the cluster down goes on without it.
  scheduleToCloseTimeout: '60s',
  summary: 'TEARDOWN to Mesos',
});

/**
 * The durable state of the Mesos framework of a cluster: its ID, its tasks, its launch intents. It keeps one
 * scheduler activity running, which stores here whatever it does before it does it.
 */
export async function framework(input: FrameworkInput): Promise<void> {
  let memory = firstMemory(input);
  const end: { wanted: boolean; result?: StopFrameworkResult } = { wanted: false };
  let published: FrameworkState | undefined;
  /**
   * The history is so long that a new run should go on. Looked at when an update was accepted, never in a condition:
   * those are asked at a rejected one, too, which leaves no event by which a replay would ask them again.
   */
  let grown = false;

  const on = <Result, Args extends unknown[]>(definition: UpdateDefinition<Result, Args>) =>
    handling(definition, () => {
      grown = workflowInfo().continueAsNewSuggested;
    });
  const now = (): string => new Date().toISOString();
  const publish = (): void => {
    setCurrentDetails(details(memory));
    const memo = compact(memory.state);
    if (published !== undefined && sameJson(published, memo)) return;
    published = memo;
    upsertMemo({ [memoKeys.state]: memo });
  };
  /** What it returns goes into the history of this workflow. */
  const become = (state: FrameworkState): FrameworkState => {
    if (state !== memory.state) {
      memory = { ...memory, state: remember(memory.state, state, now()) };
      publish();
    }
    return withoutHistory(memory.state);
  };
  const guard = (lease: SchedulerLease): void => {
    reject('SCHEDULER_REPLACED', leaseRejection(memory.state, lease));
  };

  setHandler(frameworkState, () => memory.state);
  on(configureFramework).do(
    (spec) => {
      const isRemoved = memory.state.failure?.code === 'MESOS_FRAMEWORK_REMOVED';
      const asks = isRemoved && patched('ask-for-tasks-of-removed-framework');
      const { memory: next, result } = configure(memory, spec, asks);
      memory = { ...next, state: remember(memory.state, next.state, now()) };
      publish();
      return result;
    },
    (spec) => {
      const { name } = memory.spec;
      reject('SPEC_DIFFERS', spec.name === name ? undefined : `this is the framework of ${name}`);
      reject('FRAMEWORK_ABSENT', end.wanted ? `the framework of ${name} is being torn down` : undefined);
    },
  );
  on(claimScheduler).do(
    (lease, worker) => become(claim(memory.state, lease, worker)),
    (lease) => reject('SCHEDULER_REPLACED', claimRejection(memory.state, memory.run, lease)),
  );
  on(storeFrameworkId).do(
    (_lease, frameworkId, found) => void become(withFrameworkId(memory.state, frameworkId, found)),
    (lease, frameworkId) => {
      guard(lease);
      reject('SCHEDULER_REPLACED', frameworkIdRejection(memory.state, frameworkId));
    },
  );
  on(storeIntents).do(
    (_lease, intents) => become(withIntents(memory.state, intents, now())),
    (lease, intents) => {
      guard(lease);
      reject('INTENT_REJECTED', intentsRejection(memory.state, intents));
    },
  );
  on(storeTaskUpdates).do(
    (_lease, updates) => void become(withTaskUpdates(memory.state, updates, now(), memory.spec)),
    guard,
  );
  on(storeFencing).do(
    (_lease, outcomes) => become(withFencing(memory.state, outcomes, now(), memory.spec)),
    guard,
  );
  on(fenceHost).do(
    (host) => {
      const { state, result } = fence(memory.state, host, now());
      become(state);
      return result;
    },
    (host) => reject('HOST_NOT_LOST', fenceRejection(memory.state, host)),
  );
  on(storeRetiring).do((_lease, taskId) => become(withRetiring(memory.state, taskId)), guard);
  on(storeMesos).do((_lease, sight) => void become(withMesos(memory.state, sight)), guard);
  on(storeMissing).do((_lease, missing) => void become(withMissing(memory.state, missing)), guard);
  on(storeMasters).do((_lease, masters) => void become(withMasters(memory.state, masters)), guard);
  on(markEtcdFormed).do(() => {
    if (!memory.state.etcdFormed) become({ ...memory.state, etcdFormed: true });
  });
  on(stopFramework).do(async () => {
    end.wanted = true;
    await condition(() => end.result !== undefined);
    return end.result ?? { tornDown: false };
  });

  publish();

  while (!end.wanted) {
    if (grown) {
      await condition(() => end.wanted || allHandlersFinished());
      if (!end.wanted) await continueAsNew<typeof framework>(carriedOver(memory));
    } else if (memory.state.failure === undefined) {
      await schedule();
    } else {
      await condition(() => end.wanted || memory.state.failure === undefined);
    }
  }
  end.result = await teardown();
  await condition(allHandlersFinished);

  /** Runs the scheduler until it must end, or gives up. */
  async function schedule(): Promise<void> {
    const { spec } = memory;
    memory = { ...memory, run: memory.run + 1 };
    const { run } = memory;
    const scope = new CancellationScope();
    let ended = false;
    let wanted = false;
    const running = scope
      .run(() => runScheduler({ spec, run }))
      .catch((error: unknown) => {
        // Whatever went wrong while it was to end concerns the next one no more, or meets it again.
        if (!isCancellation(error) && !wanted) giveUp(error);
      })
      .finally(() => (ended = true));
    await condition(() => ended || end.wanted || memory.spec !== spec || grown);
    wanted = !ended;
    scope.cancel();
    await running;
  }

  function giveUp(error: unknown): void {
    const { code, message, remedy } = lastWord(error).facts;
    // A later attempt is the scheduler; it answers for itself.
    if (code === 'SCHEDULER_REPLACED') return;
    log.error('the scheduler gave up', { code, message });
    become(withFailure(memory.state, { code, message, remedy }));
  }

  async function teardown(): Promise<StopFrameworkResult> {
    const { frameworkId } = memory.state;
    try {
      await teardownFramework({ spec: memory.spec, ...(frameworkId === undefined ? {} : { frameworkId }) });
      return { tornDown: true };
    } catch (error) {
      const { message } = lastWord(error).facts;
      log.warn('the framework was not torn down in Mesos', { message });
      return { tornDown: false, reason: message };
    }
  }
}

function handling<Result, Args extends unknown[]>(
  definition: UpdateDefinition<Result, Args>,
  accepted: () => void,
) {
  return {
    do: (
      handler: (...args: Args) => Result | Promise<Result>,
      validator: (...args: Args) => void = () => undefined,
    ): void =>
      setHandler(
        definition,
        (...args: Args) => {
          accepted();
          return handler(...args);
        },
        { validator },
      ),
  };
}

function reject(code: ErrorCode, why: string | undefined): void {
  if (why !== undefined) throw ApplicationFailure.nonRetryable(why, code);
}
