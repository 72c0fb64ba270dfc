import { describe, expect, it } from 'vitest';
import {
  compact,
  happened,
  remember,
  withoutHistory,
  type FrameworkHistory,
  type FrameworkObservation,
} from '../../../src/mesos/scheduler/framework-events.js';
import type { NodeTask } from '../../../src/mesos/scheduler/tasks.js';

type State = FrameworkObservation & FrameworkHistory;
const empty: State = { tasks: {}, launches: 0 };
const task = (taskId: string, state: NodeTask['state'], more: Partial<NodeTask> = {}): NodeTask => ({
  node: taskId.replace(/\..*/, ''),
  taskId,
  agentId: 'S1',
  host: 'h1',
  config: 'c',
  state,
  since: '2026-01-01T00:00:00.000Z',
  failures: 0,
  ...more,
});
const having = (...tasks: readonly NodeTask[]): State => ({
  ...empty,
  tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
});
const here = { h1: 'here', h2: 'here' } as const;

describe('changes', () => {
  it.each<[string, State, State, readonly string[]]>([
    ['nothing', having(task('node0.1', 'TASK_RUNNING')), having(task('node0.1', 'TASK_RUNNING')), []],
    ['a first launch', empty, having(task('node0.1', 'INTENDED')), ['launched: node0.1 is launched on h1']],
    ['a task on its way', having(task('node0.1', 'INTENDED')), having(task('node0.1', 'TASK_STAGING')), []],
    [
      'a task that runs',
      having(task('node0.1', 'TASK_STAGING')),
      having(task('node0.1', 'TASK_RUNNING')),
      ['running: node0.1 on h1 runs'],
    ],
    [
      'a task that failed',
      having(task('node0.1', 'TASK_RUNNING')),
      having(task('node0.1', 'TASK_FAILED', { message: 'Command exited with status 1.' })),
      ['ended: node0.1 on h1 has ended (TASK_FAILED): Command exited with status 1'],
    ],
    [
      'a launch after that',
      having(task('node0.1', 'TASK_FAILED')),
      having(task('node0.2', 'INTENDED', { host: 'h2' })),
      ['launched: node0.2 is launched on h2, after node0.1 on h1 (TASK_FAILED)'],
    ],
    [
      'an agent that is cut off',
      having(task('node0.1', 'TASK_RUNNING')),
      having(task('node0.1', 'TASK_UNREACHABLE')),
      ['lost: node0.1 on h1 is lost (TASK_UNREACHABLE)'],
    ],
    [
      'its return',
      having(task('node0.1', 'TASK_UNREACHABLE')),
      having(task('node0.1', 'TASK_RUNNING')),
      ['running: node0.1 on h1 is running again'],
    ],
    [
      'a task that was given up',
      having(task('node0.1', 'TASK_UNREACHABLE')),
      having(task('node0.1', 'TASK_GONE', { message: 'h1 has ended it' })),
      ['fenced: node0.1 on h1 is fenced: h1 has ended it'],
    ],
    ['a surplus node', having(task('node5.1', 'TASK_KILLED')), empty, ['ended: node5 is no longer needed']],
    [
      "an operator's declaration",
      empty,
      { ...empty, fences: { h2: { at: 'x', nodes: ['node1', 'node2'] } } },
      ['fenced: an operator declared h2 dead, with node1, node2'],
    ],
    [
      'a first scheduler',
      empty,
      { ...empty, scheduler: '1@a', lease: { run: 1, attempt: 1 } },
      ['scheduler: 1@a runs the scheduler'],
    ],
    [
      'a takeover',
      { ...empty, scheduler: '1@a', lease: { run: 1, attempt: 1 } },
      { ...empty, scheduler: '2@b', lease: { run: 1, attempt: 2 } },
      ['scheduler: 2@b runs the scheduler, after 1@a'],
    ],
    [
      'a registration',
      empty,
      { ...empty, frameworkId: 'F' },
      ['framework: Mesos registered the framework as F'],
    ],
    [
      'a scheduler that gave up',
      empty,
      { ...empty, failure: { code: 'MESOS_REFUSED', message: 'No.' } },
      ['failed: the scheduler gave up (MESOS_REFUSED): No'],
    ],
    [
      'a first observation of Mesos, with an agent missing',
      empty,
      { ...empty, mesos: { leader: 'h1', agents: { h1: 'here', h2: 'away' } } },
      ['leader: the Mesos master on h1 leads', 'agent: the Mesos agent on h2 is disconnected'],
    ],
    [
      'another leader',
      { ...empty, mesos: { leader: 'h1', agents: here } },
      { ...empty, mesos: { leader: 'h2', agents: here } },
      ['leader: the Mesos master on h2 leads, after h1'],
    ],
    [
      'an agent that is back',
      { ...empty, mesos: { leader: 'h1', agents: { h1: 'here', h2: 'away' } } },
      { ...empty, mesos: { leader: 'h1', agents: here } },
      ['agent: the Mesos agent on h2 is registered again'],
    ],
  ])('%s', (_, before, after, lines) => {
    expect(happened(before, after).map(({ kind, what }) => `${kind}: ${what}`)).toEqual(lines);
  });
});

describe('the history', () => {
  it('numbers the events, newest first, and keeps the newest 50', () => {
    let state = empty;
    for (let launch = 1; launch <= 60; launch += 1) {
      state = remember(state, { ...state, ...having(task(`node0.${launch}`, 'INTENDED')) }, `t${launch}`);
    }
    expect(state.events).toHaveLength(50);
    expect(state.events?.[0]).toMatchObject({ seq: 60, at: 't60', kind: 'launched' });
    expect(state.events?.[49]).toMatchObject({ seq: 11 });
  });

  it('keeps the four tasks before the current one, with the reason they ended', () => {
    let state = empty;
    for (let launch = 1; launch <= 7; launch += 1) {
      const next = task(`node0.${launch}`, 'TASK_FAILED', { message: `end ${launch}` });
      state = remember(state, { ...state, tasks: { node0: next } }, 't');
    }
    expect(state.past?.['node0']?.map(({ taskId, message }) => [taskId, message])).toEqual([
      ['node0.6', 'end 6'],
      ['node0.5', 'end 5'],
      ['node0.4', 'end 4'],
      ['node0.3', 'end 3'],
    ]);
  });

  it('is the same value when nothing has changed, so that nothing is stored', () => {
    const state = having(task('node0.1', 'TASK_RUNNING'));
    const same = { ...state };
    expect(remember(state, same, 't')).toBe(same);
  });

  it('is short in the memo, and absent where it is not needed', () => {
    let state = empty;
    for (let launch = 1; launch <= 20; launch += 1) {
      state = remember(state, { ...state, ...having(task(`node0.${launch}`, 'INTENDED')) }, 't');
    }
    const memo = compact(state);
    expect(memo.events?.map(({ seq }) => seq)).toEqual([20, 19, 18, 17, 16, 15, 14, 13, 12, 11]);
    expect(memo.past?.['node0']).toHaveLength(1);
    expect(withoutHistory(state)).toEqual({ tasks: state.tasks, launches: 0 });
  });
});
