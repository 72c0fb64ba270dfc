import { expect, it } from 'vitest';
import { applyForget, forgetRejection } from '../../../src/mesos/fencing/forgotten.js';
import type { NodeTask } from '../../../src/mesos/scheduler/tasks.js';

const at = '2026-11-30T07:00:00.000Z';
const task = (node: string, host: string, state: NodeTask['state']): NodeTask => ({
  ...{ node, taskId: `${node}.1`, agentId: 'a', host, config: '', state, since: at, failures: 0 },
});
const table = (...tasks: readonly NodeTask[]) => ({
  tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  launches: tasks.length,
});

it('is refused while a node on the host is alive according to Mesos', () => {
  const state = table(task('node0', 'h4', 'TASK_RUNNING'), task('node1', 'h4', 'TASK_UNREACHABLE'));
  expect(forgetRejection(state, 'h4')).toContain('node0 (TASK_RUNNING)');
  expect(forgetRejection(state, 'h3')).toBeUndefined();
});

it('gives up what may run on the host, and closes it; once', () => {
  const state = table(task('node0', 'h4', 'TASK_UNREACHABLE'), task('node1', 'h1', 'TASK_UNREACHABLE'));
  expect(forgetRejection(state, 'h4')).toBeUndefined();
  const forgotten = applyForget(state, 'h4', at);
  expect(forgotten).toMatchObject({
    fences: { h4: { nodes: ['node0'] } },
    cordons: { h4: { at } },
    forgotten: { h4: { at } },
  });
  expect(applyForget(forgotten, 'h4', 'later')).toBe(forgotten);
});
