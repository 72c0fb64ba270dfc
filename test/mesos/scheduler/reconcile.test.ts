import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reconciliation, reconcileEveryMs } from '../../../src/mesos/scheduler/reconcile.js';
import type { NodeTask, TaskState } from '../../../src/mesos/scheduler/tasks.js';

const tasksIn = (states: Readonly<Record<string, TaskState>>): Record<string, NodeTask> =>
  Object.fromEntries(
    Object.entries(states).map(([node, state]) => [
      node,
      {
        node,
        taskId: `${node}.1`,
        agentId: 'a',
        host: 'h1',
        config: 'c',
        state,
        since: '2026-11-22T09:00:00.000Z',
        failures: 0,
      },
    ]),
  );
const asked = (reconciliation: Reconciliation, tasks: Record<string, NodeTask>, now: number) =>
  reconciliation.due(tasks, now).explicit.map(({ node }) => node);

describe('after a subscription', () => {
  it('asks for all tasks that have not ended, by name, and for those in no table', () => {
    const tasks = tasksIn({
      node0: 'TASK_RUNNING',
      node1: 'INTENDED',
      node2: 'TASK_FAILED',
      node3: 'TASK_UNREACHABLE',
    });
    const call = new Reconciliation(0).due(tasks, 0);
    expect(call.explicit.map(({ node }) => node)).toEqual(['node0', 'node1', 'node3']);
    expect(call.implicit).toBe(true);
  });

  it('asks again for those without an answer, after 1, 2, 4, … and at most 30 s', () => {
    const tasks = tasksIn({ node0: 'TASK_RUNNING', node1: 'TASK_RUNNING' });
    const reconciliation = new Reconciliation(0);
    reconciliation.due(tasks, 0);
    reconciliation.heard('node0.1', 'TASK_RUNNING', 10);
    const times: number[] = [];
    for (let now = reconciliation.wakeAt; times.length < 8; now = reconciliation.wakeAt) {
      expect(asked(reconciliation, tasks, now - 1)).toEqual([]);
      expect(asked(reconciliation, tasks, now)).toEqual(['node1']);
      times.push(now / 1_000);
    }
    expect(times).toEqual([1, 3, 7, 15, 31, 61, 91, 121]);
  });

  it('asks nothing for 15 minutes when all are answered', () => {
    const tasks = tasksIn({ node0: 'TASK_RUNNING' });
    const reconciliation = new Reconciliation(0);
    reconciliation.due(tasks, 0);
    reconciliation.heard('node0.1', 'TASK_RUNNING', 10);
    expect(reconciliation.wakeAt).toBe(reconcileEveryMs);
    expect(reconciliation.due(tasks, reconcileEveryMs - 1)).toEqual({ explicit: [], implicit: false });
    const next = reconciliation.due(tasks, reconcileEveryMs);
    expect(next).toMatchObject({ explicit: [{ node: 'node0' }], implicit: true });
  });

  it.each(['TASK_UNREACHABLE', 'TASK_UNKNOWN'] as const)(
    'asks for a task in state %s every 30 s',
    (state) => {
      const tasks = tasksIn({ node0: state });
      const reconciliation = new Reconciliation(0);
      reconciliation.due(tasks, 0);
      reconciliation.heard('node0.1', state, 1_000);
      expect(asked(reconciliation, tasks, 30_999)).toEqual([]);
      expect(asked(reconciliation, tasks, 31_000)).toEqual(['node0']);
      reconciliation.heard('node0.1', state, 31_500);
      expect(asked(reconciliation, tasks, 61_499)).toEqual([]);
      expect(asked(reconciliation, tasks, 61_500)).toEqual(['node0']);
    },
  );
});

it('asks for a newly launched task only after 30 s without an update', () => {
  const reconciliation = new Reconciliation(0);
  reconciliation.due({}, 0);
  reconciliation.launched('node0.1', 5_000);
  const tasks = tasksIn({ node0: 'INTENDED' });
  expect(asked(reconciliation, tasks, 34_999)).toEqual([]);
  expect(asked(reconciliation, tasks, 35_000)).toEqual(['node0']);
});

it('forgets tasks that have ended', () => {
  const reconciliation = new Reconciliation(0);
  reconciliation.due(tasksIn({ node0: 'INTENDED' }), 0);
  reconciliation.due(tasksIn({ node0: 'TASK_FAILED' }), 500);
  expect(reconciliation.wakeAt).toBe(reconcileEveryMs);
});

it('asks for every open task at least every 15 minutes and 30 seconds, and never too often', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3 }), { maxLength: 60 }), (answers) => {
      const tasks = tasksIn({ node0: 'TASK_RUNNING', node1: 'TASK_RUNNING', node2: 'TASK_UNREACHABLE' });
      const reconciliation = new Reconciliation(0);
      const lastAsked = new Map<string, number>();
      let now = 0;
      for (const answer of answers) {
        for (const node of asked(reconciliation, tasks, now)) {
          const before = lastAsked.get(node);
          if (before !== undefined) expect(now - before).toBeGreaterThanOrEqual(1_000);
          lastAsked.set(node, now);
        }
        for (const node of Object.keys(tasks)) {
          expect(now - (lastAsked.get(node) ?? -Infinity)).toBeLessThanOrEqual(reconcileEveryMs + 30_000);
        }
        const task = tasks[`node${answer}`];
        if (task !== undefined) reconciliation.heard(task.taskId, task.state, now + 1);
        now = Math.max(now + 1, reconciliation.wakeAt);
      }
    }),
  );
});
