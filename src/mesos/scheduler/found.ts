import type { ClusterSpec } from '../../cluster/spec.js';
import { configOfTask, hostOfAgent, isOurs } from './launch.js';
import type { FrameworkFacts, MasterState, TaskFacts } from '../masters/operator-client.js';
import { kindOf, parseTaskId, type NodeTask } from './tasks.js';

export interface FoundFramework {
  readonly frameworkId: string;
  readonly tasks: readonly NodeTask[];
}

/**
 * The cluster's framework as Mesos knows it, for a scheduler without a stored framework ID: the ID was lost,
 * or the worker that subscribed died before it was stored. `undefined`: there is none. `wait`: known agents
 * have not re-registered with this master yet, and may run our tasks.
 */
export function findFramework(
  spec: ClusterSpec,
  state: MasterState,
  at: string,
): FoundFramework | 'wait' | undefined {
  if (state.recoveredAgents > 0) return 'wait';
  const [framework] = state.frameworks
    .filter((each) => isOurs(spec, each))
    .toSorted((a, b) => tasksOf(b).length - tasksOf(a).length);
  if (framework === undefined) return undefined;
  const newest = new Map<string, NodeTask>();
  for (const facts of tasksOf(framework)) {
    const parts = parseTaskId(facts.id);
    if (parts === undefined || kindOf(facts.state) === 'terminal') continue;
    const known = newest.get(parts.node);
    if (known !== undefined && (parseTaskId(known.taskId)?.launch ?? 0) > parts.launch) continue;
    newest.set(parts.node, taskOf(spec, state, facts, parts.node, at));
  }
  return { frameworkId: framework.id, tasks: [...newest.values()] };
}

function tasksOf(framework: FrameworkFacts): readonly TaskFacts[] {
  return [...framework.tasks, ...framework.unreachableTasks];
}

function taskOf(spec: ClusterSpec, state: MasterState, facts: TaskFacts, node: string, at: string): NodeTask {
  const agent = state.agents.find(({ id }) => id === facts.agentId);
  const host =
    agent === undefined
      ? undefined
      : hostOfAgent(spec, {
          hostname: agent.hostname,
          address: { ip: agent.address, port: agent.port },
          attributes: agent.attributes,
        });
  return {
    node,
    taskId: facts.id,
    agentId: facts.agentId,
    host: host?.name ?? '',
    config: configOfTask(facts.labels),
    state: facts.state,
    since: at,
    ...(facts.state === 'TASK_RUNNING' ? { startedAt: at } : {}),
    failures: 0,
  };
}
