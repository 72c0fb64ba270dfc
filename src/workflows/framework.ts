import {
  ActivityCancellationType,
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  log,
  proxyActivities,
  setWorkflowOptions,
} from '@temporalio/workflow';
import type { FrameworkActivities } from '../activities/framework.js';
import { anything, map, optional } from '../cluster/flaws.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { FrameworkInput, StopFrameworkResult } from '../temporal/contract.js';
import { endless, quick } from '../temporal/options.js';
import { finalFailure } from './failure.js';
import { handleAll } from './framework-handlers.js';
import { FrameworkRun } from './framework-run.js';
import { ensureClusterAttribute, requireFirstInput } from './input.js';
import { pinned } from './pinned.js';
import { continueOnCurrentBuild } from './history.js';
import { identified } from './identity.js';
import { carriedOver, withFailure } from './framework-state.js';

const { runScheduler } = proxyActivities<FrameworkActivities>({
  ...endless,
  // The next scheduler starts when this one has stopped, so that they do not replace each other at Mesos.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  summary: 'scheduler of the Mesos framework',
});
const { teardownFramework } = proxyActivities<FrameworkActivities>({
  ...quick,
  // Mesos may be down already, or for good: the teardown of the cluster continues without it.
  scheduleToCloseTimeout: '60s',
  summary: 'TEARDOWN to Mesos',
});

/**
 * The durable state of a cluster's Mesos framework: its ID, its tasks, its launch intents. It keeps one
 * scheduler activity running, which stores here whatever it does before it does it.
 */
export async function framework(input: FrameworkInput): Promise<void> {
  requireFirstInput<FrameworkInput>('framework', input, {
    spec: clusterSpec,
    remembered: optional(map(anything)),
    identity: optional(map(anything)),
    state: optional(map(anything)),
  });
  ensureClusterAttribute(input.spec.name);
  const run = new FrameworkRun(input);
  handleAll(run);
  run.publish();
  run.publishHosts();
  while (!run.end.wanted) {
    if (run.grown) {
      await condition(() => run.end.wanted || allHandlersFinished());
      if (!run.end.wanted) await continueOnCurrentBuild<typeof framework>(carriedOver(run.memory));
    } else if (run.state.failure === undefined) {
      await schedule(run);
    } else {
      await condition(() => run.end.wanted || run.renewing || run.state.failure === undefined);
    }
  }
  run.end.result = await teardown(run);
  await condition(allHandlersFinished);
}
setWorkflowOptions(pinned, framework);

/** Runs the scheduler until it must end, or gives up. */
async function schedule(run: FrameworkRun): Promise<void> {
  const { spec, identity } = run.memory;
  const { plan } = run.state;
  const number = run.countScheduler();
  const scope = new CancellationScope();
  let ended = false;
  let stopping = false;
  const running = scope
    .run(() => runScheduler({ spec: identified(spec, identity), run: number, ...(plan && { plan }) }))
    .catch((error: unknown) => {
      // A failure while it was being stopped does not concern the next scheduler, or occurs there again.
      if (!isCancellation(error) && !stopping) giveUp(run, error);
    })
    .finally(() => (ended = true));
  await condition(() => ended || run.end.wanted || run.memory.spec !== spec || run.grown);
  stopping = !ended;
  scope.cancel();
  await running;
}

function giveUp(run: FrameworkRun, error: unknown): void {
  const { code, message, remedy } = finalFailure(error).facts;
  // A later attempt of the activity is the scheduler, and reports its own failures.
  if (code === 'SCHEDULER_REPLACED') return;
  log.error('the scheduler gave up', { code, message });
  run.become(withFailure(run.state, { code, message, remedy }));
}

async function teardown({ memory }: FrameworkRun): Promise<StopFrameworkResult> {
  const { frameworkId } = memory.state;
  try {
    await teardownFramework({
      spec: identified(memory.spec, memory.identity),
      ...(frameworkId === undefined ? {} : { frameworkId }),
    });
    return { tornDown: true };
  } catch (error) {
    const { message } = finalFailure(error).facts;
    log.warn('the framework was not torn down in Mesos', { message });
    return { tornDown: false, reason: message };
  }
}
