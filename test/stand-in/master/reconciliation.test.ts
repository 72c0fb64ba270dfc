import { expect, test } from 'vitest';
import { Cluster, type Agent } from '../../../src/stand-in/master/cluster.js';
import { reconcileAll, reconcileTasks } from '../../../src/stand-in/master/reconciliation.js';
import type { TaskStatus } from '../../../src/stand-in/messages.js';
import { framework, task } from './state.js';

const partitionAware = ['PARTITION_AWARE'];

function agent(id: string): Agent {
  return {
    id,
    info: { id, hostname: 'h', ip: '127.0.0.1', port: 5051, version: '1.3.2', resources: [], attributes: [] },
    link: undefined,
    registeredAt: 0,
    reregisteredAt: undefined,
    tasks: new Map(),
    pendingKills: new Set(),
    missedPings: 0,
    answeredPing: true,
  };
}

/** `here` is registered, `away` unreachable since 1970-01-01T00:00:07Z. */
function cluster(): Cluster {
  const made = new Cluster();
  made.agents.set('here', agent('here'));
  made.unreachableAgents.set('away', { hostname: 'h', at: 7_000 });
  return made;
}

const outline = ({ state, message, unreachable_time: at }: TaskStatus) => [state, message, at?.nanoseconds];
const named = (taskId: string, agentId?: string) => ({
  task_id: { value: taskId },
  ...(agentId !== undefined && { agent_id: { value: agentId } }),
});

test('a known task is reported in the last forwarded state', () => {
  const known = framework('f1');
  const running = task('f1', 't1', 'here', 'TASK_FINISHED');
  running.forwarded = { state: 'TASK_RUNNING', uuid: 'u' };
  known.tasks.set('t1', running);
  known.tasks.set('t2', task('f1', 't2', 'here', 'TASK_STAGING'));
  const expected = [
    ['TASK_RUNNING', 'Reconciliation: Latest task state', undefined],
    ['TASK_STAGING', 'Reconciliation: Latest task state', undefined],
  ];
  expect(reconcileAll(known).map(outline)).toEqual(expected);
  const { statuses, dropped } = reconcileTasks(cluster(), known, [named('t1'), named('t2', 'here')]);
  expect(statuses.map(outline)).toEqual(expected);
  expect(dropped).toEqual([]);
});

test.each([
  ['on a registered agent', 'here', 'TASK_GONE', 'Task is unknown', undefined],
  ['on an unreachable agent', 'away', 'TASK_UNREACHABLE', 'Task is unreachable', 7_000_000_000],
  ['on an unknown agent', 'other', 'TASK_UNKNOWN', 'Task is unknown', undefined],
  ['without an agent', undefined, 'TASK_UNKNOWN', 'Task is unknown', undefined],
])('an unknown task %s', (_where, agentId, state, text, at) => {
  const asked = [named('t1', agentId)];
  const aware = reconcileTasks(cluster(), framework('f1', partitionAware), asked);
  expect(aware.statuses.map(outline)).toEqual([[state, `Reconciliation: ${text}`, at]]);
  const unaware = reconcileTasks(cluster(), framework('f1'), asked);
  expect(unaware.statuses.map(outline)).toEqual([['TASK_LOST', `Reconciliation: ${text}`, undefined]]);
});

test('a task lost with its agent is unreachable, whichever agent the call names', () => {
  const known = framework('f1', partitionAware);
  known.unreachableTasks.set('t1', task('f1', 't1', 'away', 'TASK_UNREACHABLE'));
  const { statuses } = reconcileTasks(cluster(), known, [named('t1')]);
  expect(statuses.map(outline)).toEqual([
    ['TASK_UNREACHABLE', 'Reconciliation: Task is unreachable', 7_000_000_000],
  ]);
});

test('a task that may run on an agent that has not re-registered gets no reply', () => {
  const waiting = cluster();
  waiting.recoveredAgents.set('late', { id: 'late', hostname: 'h', ip: '127.0.0.1', port: 5051 });
  const asked = [named('t1', 'late'), named('t2'), named('t3', 'other')];
  const { statuses, dropped } = reconcileTasks(waiting, framework('f1', partitionAware), asked);
  expect(dropped).toEqual(['t1', 't2']);
  expect(statuses.map(({ task_id: id, state }) => [id.value, state])).toEqual([['t3', 'TASK_UNKNOWN']]);
});
