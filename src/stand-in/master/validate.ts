import type { TaskInfo } from '../messages.js';
import { contains, fromApi, toText, type Resources } from '../resources.js';

/**
 * Why a task cannot be launched from the offers it names, with Mesos' message where there is one; undefined
 * when it can.
 */
export function validateTask(
  task: TaskInfo,
  place: { readonly agentId: string; readonly available: Resources; readonly taken: boolean },
): string | undefined {
  const taskId = task.task_id.value;
  if (taskId === '' || taskId === '.' || taskId === '..' || /[/\\\p{Cc}]/u.test(taskId)) {
    return `TaskID '${taskId}' contains invalid characters`;
  }
  if (place.taken) return `Task has duplicate ID: ${taskId}`;
  if (task.agent_id.value !== place.agentId) {
    return `Task uses invalid agent ${task.agent_id.value} while agent ${place.agentId} is expected`;
  }
  if ((task.executor === undefined) === (task.command === undefined)) {
    return 'Task should have at least one (but not both) of CommandInfo or ExecutorInfo present';
  }
  if (task.executor !== undefined) return 'The stand-in runs command tasks only, not executors';
  if (task.resources.length === 0) return 'Task uses no resources';
  const wanted = fromApi(task.resources);
  if (!contains(place.available, wanted)) {
    const text = (resources: Resources) => toText(resources, '(*)(allocated: *)');
    return `Total resources ${text(wanted)} required by task and its executor is more than available ${text(place.available)}`;
  }
  return undefined;
}
