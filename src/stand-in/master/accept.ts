/** Plans an ACCEPT call. Pure. */
import type { SchedulerCall, TaskInfo, TaskState } from '../messages.js';
import { fromApi, subtract, type Resources } from '../resources.js';
import { isPartitionAware, type Framework, type LiveOffer } from './cluster.js';
import { validateTask } from './validate.js';

export type Accept = NonNullable<SchedulerCall['accept']>;
type Operation = Accept['operations'][number];

export type AcceptStep =
  | { readonly kind: 'launch'; readonly task: TaskInfo }
  | ({ readonly kind: 'refuse' } & Refusal)
  /** An operation that the stand-in does not support. */
  | { readonly kind: 'ignore'; readonly operation: Operation['type'] };

/** A task that the master does not launch, and the status update sent for it. */
export interface Refusal {
  readonly task: TaskInfo;
  readonly state: TaskState;
  readonly reason: `REASON_${string}`;
  readonly message: string;
}

/** Where the tasks of an ACCEPT call run. */
export interface AcceptPlace {
  readonly agentId: string;
  /** The resources of all offers of the call. */
  readonly available: Resources;
  /** IDs of the framework's tasks. */
  readonly taskIds: Iterable<string>;
}

/** The steps in operation order, and the resources left unused. */
export function planAccept(
  operations: readonly Operation[],
  place: AcceptPlace,
): { readonly steps: readonly AcceptStep[]; readonly unused: Resources } {
  const steps: AcceptStep[] = [];
  const taken = new Set(place.taskIds);
  let { available } = place;
  for (const operation of operations) {
    if (operation.type !== 'LAUNCH') {
      steps.push({ kind: 'ignore', operation: operation.type }, ...groupRefusals(operation));
      continue;
    }
    for (const task of operation.launch?.task_infos ?? []) {
      const taskId = task.task_id.value;
      const problem = validateTask(task, { agentId: place.agentId, available, taken: taken.has(taskId) });
      if (problem === undefined) {
        available = subtract(available, fromApi(task.resources));
        taken.add(taskId);
        steps.push({ kind: 'launch', task });
      } else {
        steps.push(refuse({ task, state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID', message: problem }));
      }
    }
  }
  return { steps, unused: available };
}

function groupRefusals(operation: Operation): AcceptStep[] {
  return (operation.launch_group?.task_group.tasks ?? []).map((task) =>
    refuse({
      task,
      state: 'TASK_ERROR',
      reason: 'REASON_TASK_GROUP_INVALID',
      message: 'The stand-in launches no task groups',
    }),
  );
}

function refuse(refusal: Refusal): AcceptStep {
  return { kind: 'refuse', ...refusal };
}

/** Rejects every task of a call whose offers are invalid. */
export function refuseAll(framework: Framework, { operations }: Accept, problem: string): Refusal[] {
  const tasks = operations.flatMap((operation) => [
    ...(operation.launch?.task_infos ?? []),
    ...(operation.launch_group?.task_group.tasks ?? []),
  ]);
  return tasks.map((task) => ({
    task,
    state: isPartitionAware(framework) ? 'TASK_DROPPED' : 'TASK_LOST',
    reason: 'REASON_INVALID_OFFERS',
    message: `Task launched with invalid offers: ${problem}`,
  }));
}

/** Mesos' error when a framework cannot use these offers together; undefined when it can. */
export function invalidOffers(
  framework: Pick<Framework, 'id'>,
  accepted: readonly { readonly id: string; readonly offer: LiveOffer | undefined }[],
): string | undefined {
  const agentIds = new Set<string>();
  for (const { id, offer } of accepted) {
    if (!offer) return `Offer ${id} is no longer valid`;
    if (offer.frameworkId !== framework.id) {
      return `Offer ${id} has invalid framework ${offer.frameworkId} while framework ${framework.id} is expected`;
    }
    agentIds.add(offer.agentId);
  }
  if (agentIds.size > 1) {
    return `Aggregated offers must belong to one single agent: ${[...agentIds].join(', ')}`;
  }
  return accepted.length === 0 ? 'No offers specified' : undefined;
}
