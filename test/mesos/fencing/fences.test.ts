import { describe, expect, it } from 'vitest';
import {
  applyHostFence,
  applyOutcomes,
  fenceRejection,
  forgetHosts,
  isSuperseded,
  settleFences,
  type FenceTable,
} from '../../../src/mesos/fencing/fences.js';
import {
  applyUpdates,
  intentsRejection,
  type NodeTask,
  type TaskState,
} from '../../../src/mesos/scheduler/tasks.js';

const at = (seconds: number) =>
  new Date(Date.parse('2026-11-22T09:00:00.000Z') + seconds * 1_000).toISOString();

const task = (node: string, state: TaskState, host = 'h1', launch = 1): NodeTask => ({
  node,
  taskId: `${node}.${launch}`,
  agentId: `agent-${host}`,
  host,
  config: 'c',
  state,
  since: at(0),
  failures: 0,
});
const tableOf = (...tasks: readonly NodeTask[]): FenceTable => ({
  tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  launches: 10,
});
const presumed = (taskId: string) => ({ taskId, how: 'presumed', message: 'fenced: m' }) as const;
const ended = (taskId: string) => ({ taskId, how: 'ended', message: 'fenced: m' }) as const;

describe("an operator's declaration that a host is dead", () => {
  it.each(['TASK_UNREACHABLE', 'TASK_UNKNOWN'] as const)('is accepted if a node waits in %s', (state) => {
    const table = tableOf(task('node0', state), task('node1', 'TASK_RUNNING', 'h2'));
    expect(fenceRejection(table, 'h1')).toBeUndefined();
    expect(applyHostFence(table, 'h1', at(1)).fences).toEqual({ h1: { at: at(1), nodes: ['node0'] } });
  });

  it('is refused while a node there is live, even if another one waits', () => {
    for (const state of ['INTENDED', 'TASK_STAGING', 'TASK_RUNNING', 'TASK_KILLING'] as const) {
      const table = tableOf(task('node0', 'TASK_UNREACHABLE'), task('node1', state));
      expect(fenceRejection(table, 'h1')).toContain(`node1 (${state})`);
    }
  });

  it('is refused if no node waits', () => {
    expect(fenceRejection(tableOf(task('node0', 'TASK_FAILED')), 'h1')).toBe(
      'no node waits for a fence of h1',
    );
    expect(fenceRejection(tableOf(task('node0', 'TASK_UNREACHABLE')), 'h2')).toBe(
      'no node waits for a fence of h2',
    );
  });

  it('may be repeated, even if its nodes run elsewhere by then: the response may have been lost', () => {
    const once = applyHostFence(tableOf(task('node0', 'TASK_UNREACHABLE')), 'h1', at(1));
    expect(applyHostFence(once, 'h1', at(2))).toBe(once);
    const moved = settleFences({
      ...once,
      tasks: { node0: task('node0', 'TASK_RUNNING', 'h2', 11) },
    });
    expect(fenceRejection(moved, 'h1')).toBeUndefined();
    expect(applyHostFence(moved, 'h1', at(3))).toBe(moved);
  });

  it('ends as soon as a task lives there again', () => {
    const once = applyHostFence(tableOf(task('node0', 'TASK_UNREACHABLE')), 'h1', at(1));
    for (const state of ['INTENDED', 'TASK_RUNNING'] as const) {
      const back = settleFences({ ...once, tasks: { node0: task('node0', state, 'h1', 11) } });
      expect(back.fences).toEqual({});
      expect(fenceRejection(back, 'h1')).toContain(state);
    }
  });
});

describe('a task that is given up', () => {
  it('is terminal, so that its node can be launched, and does not count as a failure of the node', () => {
    const table = applyOutcomes(tableOf(task('node0', 'TASK_UNREACHABLE')), [ended('node0.1')], at(5));
    expect(table.tasks['node0']).toMatchObject({ state: 'TASK_GONE', message: 'fenced: m', failures: 0 });
    expect(table.presumed).toBeUndefined();
    const intent = { node: 'node0', taskId: 'node0.11', agentId: 'a', host: 'h2', config: 'c' };
    expect(intentsRejection(table, [intent])).toBeUndefined();
  });

  it('without proof is remembered until its host has ended it', () => {
    const table = applyOutcomes(tableOf(task('node0', 'TASK_UNREACHABLE')), [presumed('node0.1')], at(5));
    expect(table.presumed).toEqual([{ node: 'node0', taskId: 'node0.1', host: 'h1' }]);
    expect(applyOutcomes(table, [presumed('node0.1')], at(6))).toBe(table);
    const moved = { ...table, tasks: { node0: task('node0', 'TASK_RUNNING', 'h2', 11) } };
    expect(settleFences(moved)).toBe(moved);
    const over = applyOutcomes(moved, [ended('node0.1')], at(7));
    expect(over).toEqual({ ...moved, presumed: [] });
    expect(applyOutcomes(over, [ended('node0.1')], at(8))).toBe(over);
  });

  it('is taken back when it is reported alive before another one was launched', () => {
    const given = applyOutcomes(tableOf(task('node0', 'TASK_UNREACHABLE')), [presumed('node0.1')], at(5));
    const back = settleFences(applyUpdates(given, [{ taskId: 'node0.1', state: 'TASK_RUNNING' }], at(6)));
    expect(back.tasks['node0']?.state).toBe('TASK_RUNNING');
    expect(back.presumed).toEqual([]);
  });

  it('is skipped when it is alive by now, or is another one', () => {
    const live = tableOf(task('node0', 'TASK_RUNNING', 'h1', 2));
    for (const outcome of [ended('node0.2'), presumed('node0.2'), ended('node0.1'), presumed('other')]) {
      expect(applyOutcomes(live, [outcome], at(1))).toBe(live);
    }
  });
});

it('entries about a removed host are removed, once no task may live there', () => {
  const declared = applyHostFence(tableOf(task('node0', 'TASK_UNREACHABLE')), 'h1', at(1));
  expect(forgetHosts(declared, ['h2'])).toBe(declared);
  const given = applyOutcomes(declared, [presumed('node0.1')], at(2));
  expect(forgetHosts(given, ['h1', 'h2'])).toBe(given);
  expect(forgetHosts(given, ['h2'])).toEqual({ ...given, fences: {}, presumed: [] });
});

it('a task is superseded by a later one of its node', () => {
  const table = tableOf(task('node0', 'TASK_RUNNING', 'h1', 11));
  expect(['node0.10', 'node0.11', 'node0.12', 'node1.1', 'x'].map((id) => isSuperseded(table, id))).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
});
