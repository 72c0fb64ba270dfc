import type { SchedulerDeps } from '../scheduler/deps.js';
import type { FenceQuestion, TaskObservation } from './fencing.js';

/** Answers a question of the fencing: asks the node, and its host where it must be ended. */
export async function observeTask(
  deps: Pick<SchedulerDeps, 'spec' | 'healthy' | 'fence'>,
  { what, ...task }: FenceQuestion,
): Promise<TaskObservation> {
  if (what === 'end-anyway') return await deps.fence(task);
  const answer = await observeNode(deps, task.node);
  if (answer.kind !== 'down' || what === 'look') return answer;
  // Silent from here: it is ended only when it is silent from its own host, too.
  const { host } = task;
  const isInSpec = deps.spec.hosts.some(({ name }) => name === host);
  const again = isInSpec ? await observeNode(deps, task.node, host) : answer;
  return again.kind === 'down' ? await deps.fence(task) : again;
}

async function observeNode(
  { healthy }: Pick<SchedulerDeps, 'healthy'>,
  node: string,
  host?: string,
): Promise<TaskObservation> {
  const observed = await healthy(node, host);
  if (!observed.known) return { kind: 'unclear', why: observed.why };
  return { kind: observed.value ? 'works' : 'down' };
}
