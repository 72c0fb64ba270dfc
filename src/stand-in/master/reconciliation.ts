/** Task reconciliation. Pure; the algorithm is that of Mesos' document "Task Reconciliation". */
import { masterStatus, type TaskState, type TaskStatus } from '../messages.js';
import { isPartitionAware, type Cluster, type Framework, type Task } from './cluster.js';

export interface ReconcileTask {
  readonly task_id: { readonly value: string };
  readonly agent_id?: { readonly value: string } | undefined;
}

export interface ReconcileReply {
  readonly statuses: readonly TaskStatus[];
  /** Tasks without a reply: they may run on an agent that has not re-registered yet. */
  readonly dropped: readonly string[];
}

/** Implicit reconciliation: the latest state of all tasks of the framework. */
export function reconcileAll(framework: Framework): TaskStatus[] {
  return [...framework.tasks.values()].map(latestStatus);
}

/** Explicit reconciliation: the latest state of the given tasks. */
export function reconcileTasks(
  cluster: Cluster,
  framework: Framework,
  tasks: readonly ReconcileTask[],
): ReconcileReply {
  const statuses: TaskStatus[] = [];
  const dropped: string[] = [];
  for (const { task_id: taskId, agent_id: agentId } of tasks) {
    const status = statusOf(cluster, framework, taskId.value, agentId?.value);
    if (status === undefined) dropped.push(taskId.value);
    else statuses.push(status);
  }
  return { statuses, dropped };
}

function statusOf(
  cluster: Cluster,
  framework: Framework,
  taskId: string,
  agentId: string | undefined,
): TaskStatus | undefined {
  const reply = (state: TaskState, text: string, unreachableAt?: number) =>
    masterStatus(
      isPartitionAware(framework) ? state : 'TASK_LOST',
      taskId,
      'REASON_RECONCILIATION',
      `Reconciliation: ${text}`,
      { ...(agentId !== undefined && { agentId }), ...(unreachableAt !== undefined && { unreachableAt }) },
    );
  const task = framework.tasks.get(taskId);
  if (task) return latestStatus(task);
  if (agentId !== undefined && cluster.agents.has(agentId)) return reply('TASK_GONE', 'Task is unknown');
  const lastAgentId = framework.unreachableTasks.get(taskId)?.agentId ?? agentId;
  const unreachable = lastAgentId === undefined ? undefined : cluster.unreachableAgents.get(lastAgentId);
  if (unreachable) {
    const at = isPartitionAware(framework) ? unreachable.at : undefined;
    return reply('TASK_UNREACHABLE', 'Task is unreachable', at);
  }
  const { recoveredAgents } = cluster;
  const mayComeBack = agentId === undefined ? recoveredAgents.size > 0 : recoveredAgents.has(agentId);
  return mayComeBack ? undefined : reply('TASK_UNKNOWN', 'Task is unknown');
}

function latestStatus(task: Task): TaskStatus {
  const containerStatus = task.statuses.at(-1)?.container_status;
  return masterStatus(
    task.forwarded?.state ?? task.state,
    task.info.task_id.value,
    'REASON_RECONCILIATION',
    'Reconciliation: Latest task state',
    { agentId: task.agentId, ...(containerStatus !== undefined && { containerStatus }) },
  );
}
