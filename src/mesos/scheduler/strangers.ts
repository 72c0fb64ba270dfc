import { isSuperseded, type FenceTable } from '../fencing/fences.js';
import { kindOf, parseTaskId, type Stranger } from './tasks.js';
import type { TaskStatus } from './types.js';

/** Tasks of this framework that Mesos reports and the stored table lacks. */
export class Strangers {
  readonly #tasks = new Map<string, Stranger>();

  get all(): Stranger[] {
    return [...this.#tasks.values()];
  }

  /** @param table as the status left it */
  heard({ taskId, state, agentId }: TaskStatus, table: FenceTable): void {
    const node = parseTaskId(taskId)?.node;
    const isKnown = node !== undefined && table.tasks[node]?.taskId === taskId;
    const kind = kindOf(state);
    // A status from before the task was given up may arrive late; nobody could kill the task.
    const isLate = kind === 'unreachable' && isSuperseded(table, taskId);
    if (isKnown || isLate || kind === 'terminal') this.#tasks.delete(taskId);
    else if (kind !== 'unknown') {
      this.#tasks.set(taskId, { taskId, ...(agentId === undefined ? {} : { agentId }) });
    }
  }
}
