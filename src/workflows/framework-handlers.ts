/** The query and the updates of the framework workflow. Their order is part of its recorded histories. */
import { ApplicationFailure, condition, patched, setHandler } from '@temporalio/workflow';
import type { UpdateDefinition } from '@temporalio/common';
import type { ErrorCode } from '../errors/codes.js';
import {
  claimScheduler,
  configureFramework,
  cordonHost,
  fenceHost,
  forgetHost,
  frameworkState,
  markEtcdFormed,
  raiseEtcdEpoch,
  renewFramework,
  retryScheduler,
  stopFramework,
  storeFencing,
  storeFrameworkId,
  storeIntents,
  storeMasters,
  storeMesos,
  storeMissing,
  storeRetiring,
  storeTaskUpdates,
  uncordonHost,
  type FrameworkState,
  type SchedulerLease,
} from '../temporal/contract.js';
import { cordonRejection, withCordon, withoutCordons } from '../mesos/scheduler/cordons.js';
import { now, type FrameworkRun } from './framework-run.js';
import { identityRejection } from './identity.js';
import { requireSpec } from './input.js';
import {
  claim,
  claimRejection,
  configure,
  fence,
  fenceRejection,
  forget,
  forgetRejection,
  frameworkIdRejection,
  intentsRejection,
  leaseRejection,
  withFencing,
  withFrameworkId,
  withIntents,
  withMasters,
  withMesos,
  withMissing,
  withRetiring,
  withTaskUpdates,
} from './framework-state.js';
import { handleUpdate } from './updates.js';

export function handleAll(run: FrameworkRun): void {
  setHandler(frameworkState, () => run.state);
  handleSpec(run);
  handleLease(run);
  handleTasks(run);
  handleObservations(run);
  handleOperator(run);
}

function handleSpec(run: FrameworkRun): void {
  on(run, configureFramework).do(
    (spec, plan, identity) => {
      const isRemoved = run.state.failure?.code === 'MESOS_FRAMEWORK_REMOVED';
      const asks = isRemoved && patched('ask-for-tasks-of-removed-framework');
      const { memory, result } = configure(run.memory, spec, plan, asks);
      run.configure(memory);
      run.identify(identity);
      return result;
    },
    (spec, _plan, identity) => {
      requireSpec('framework', spec);
      const { name } = run.memory.spec;
      reject('SPEC_DIFFERS', spec.name === name ? undefined : `this is the framework of ${name}`);
      reject('CLUSTER_NAME_TAKEN', identityRejection(spec.name, run.memory.identity, identity));
      reject('FRAMEWORK_ABSENT', run.end.wanted ? `the framework of ${name} is being torn down` : undefined);
    },
  );
}

function handleLease(run: FrameworkRun): void {
  on(run, claimScheduler).do(
    (lease, worker) => run.become(claim(run.state, lease, worker)),
    (lease) => reject('SCHEDULER_REPLACED', claimRejection(run.state, run.memory.run, lease)),
  );
  on(run, storeFrameworkId).do(
    (_lease, frameworkId, found) => void run.become(withFrameworkId(run.state, frameworkId, found)),
    (lease, frameworkId) => {
      requireLease(run, lease);
      reject('SCHEDULER_REPLACED', frameworkIdRejection(run.state, frameworkId));
    },
  );
}

function handleTasks(run: FrameworkRun): void {
  const guard = (lease: SchedulerLease) => requireLease(run, lease);
  on(run, storeIntents).do(
    (_lease, intents) => run.become(withIntents(run.state, intents, now())),
    (lease, intents) => {
      guard(lease);
      reject('INTENT_REJECTED', intentsRejection(run.state, intents));
    },
  );
  on(run, storeTaskUpdates).do(
    (_lease, updates) => void run.become(withTaskUpdates(run.state, updates, now(), run.memory.spec)),
    guard,
  );
  on(run, storeFencing).do(
    (_lease, outcomes) => run.become(withFencing(run.state, outcomes, now(), run.memory.spec)),
    guard,
  );
  on(run, fenceHost).do(
    (host) => {
      const { state, result } = fence(run.state, host, now());
      run.become(state);
      return result;
    },
    (host) => reject('HOST_NOT_LOST', fenceRejection(run.state, host)),
  );
  on(run, storeRetiring).do((_lease, taskId) => run.become(withRetiring(run.state, taskId)), guard);
}

function handleObservations(run: FrameworkRun): void {
  const guard = (lease: SchedulerLease) => requireLease(run, lease);
  on(run, storeMesos).do((_lease, facts) => void run.become(withMesos(run.state, facts)), guard);
  on(run, storeMissing).do((_lease, missing) => void run.become(withMissing(run.state, missing)), guard);
  on(run, storeMasters).do((_lease, masters) => void run.become(withMasters(run.state, masters)), guard);
}

function handleOperator(run: FrameworkRun): void {
  const changeCordons = (next: FrameworkState) => {
    const changed = next !== run.state;
    if (changed) run.restartWith(next);
    return { changed };
  };
  on(run, cordonHost).do(
    (host) => changeCordons(withCordon(run.state, host, now())),
    (host) => reject('UNKNOWN_TARGET', cordonRejection(run.memory.spec, host)),
  );
  on(run, uncordonHost).do((host) => changeCordons(withoutCordons(run.state, (each) => each === host)));
  on(run, markEtcdFormed).do(() => {
    if (!run.state.etcdFormed) run.become({ ...run.state, etcdFormed: true });
  });
  on(run, raiseEtcdEpoch).do((epoch) => {
    if (epoch > (run.state.etcdEpoch ?? 0)) run.become({ ...run.state, etcdFormed: true, etcdEpoch: epoch });
  });
  on(run, renewFramework).do(() => run.renew());
  on(run, retryScheduler).do(() => {
    if (run.state.failure === undefined) return { changed: false };
    run.configure(configure(run.memory, run.memory.spec, run.state.plan).memory);
    return { changed: true };
  });
  on(run, forgetHost).do(
    (host) => {
      const { state, result } = forget(run.state, host, now());
      if (result.changed) run.restartWith(state);
      return result;
    },
    (host) => {
      const { name, hosts } = run.memory.spec;
      const isKnown = hosts.some((each) => each.name === host);
      reject('UNKNOWN_TARGET', isKnown ? undefined : `${name} has no host ${host}`);
      reject('HOST_NOT_LOST', forgetRejection(run.state, host));
    },
  );
  on(run, stopFramework).do(async () => {
    run.end.wanted = true;
    await condition(() => run.end.result !== undefined);
    return run.end.result ?? { tornDown: false };
  });
}

function on<Result, Args extends unknown[]>(run: FrameworkRun, definition: UpdateDefinition<Result, Args>) {
  return {
    do: (handler: (...args: Args) => Result | Promise<Result>, validator?: (...args: Args) => void): void =>
      handleUpdate(
        definition,
        (...args: Args) => {
          run.noteHistoryLength();
          return handler(...args);
        },
        validator,
      ),
  };
}

/** Rejects a scheduler that another one has replaced. */
function requireLease(run: FrameworkRun, lease: SchedulerLease): void {
  reject('SCHEDULER_REPLACED', leaseRejection(run.state, lease));
}

function reject(code: ErrorCode, why: string | undefined): void {
  if (why !== undefined) throw ApplicationFailure.nonRetryable(why, code);
}
