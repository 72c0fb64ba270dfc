/** Frameworks and tasks as input of a master's pure functions. */
import { frameworkInfoKind, taskInfoKind, type TaskState } from '../../../src/stand-in/messages.js';
import type { Framework, Task } from '../../../src/stand-in/master/cluster.js';
import { readMessage } from '../../../src/stand-in/proto.js';
import { noResources } from '../../../src/stand-in/resources.js';

export function framework(id: string, capabilities: readonly string[] = []): Framework {
  return {
    id,
    info: readMessage(frameworkInfoKind, {
      user: 'root',
      name: id,
      id: { value: id },
      capabilities: capabilities.map((type) => ({ type })),
    }),
    stream: undefined,
    recovered: false,
    suppressed: false,
    registeredAt: 0,
    reregisteredAt: 0,
    filters: [],
    heartbeat: undefined,
    failover: undefined,
    tasks: new Map(),
    unreachableTasks: new Map(),
    completedTasks: [],
  };
}

export function task(frameworkId: string, taskId: string, agentId: string, state: TaskState): Task {
  return {
    frameworkId,
    agentId,
    info: readMessage(taskInfoKind, {
      name: taskId,
      task_id: { value: taskId },
      agent_id: { value: agentId },
    }),
    resources: noResources,
    state,
    statuses: [],
  };
}
