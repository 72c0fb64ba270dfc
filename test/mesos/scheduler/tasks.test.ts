import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adoptTasks,
  applyIntents,
  applyUpdates,
  backOffMs,
  intentsRejection,
  kindOf,
  offersWanted,
  parseTaskId,
  planTasks,
  taskIdOf,
  type LaunchIntent,
  type NodeTask,
  type TaskPlanInput,
  type TaskState,
  type TaskTable,
} from '../../../src/mesos/scheduler/tasks.js';

const start = Date.parse('2026-11-22T09:00:00.000Z');
const at = (ms: number) => new Date(start + ms).toISOString();
const empty: TaskTable = { tasks: {}, launches: 0 };

const intent = (node: string, launch: number, host = 'h1'): LaunchIntent => ({
  node,
  taskId: taskIdOf(node, launch),
  agentId: `agent-${host}`,
  host,
  config: 'c1',
});

const task = (node: string, state: TaskState, overrides: Partial<NodeTask> = {}): NodeTask => ({
  ...intent(node, 1),
  state,
  since: at(0),
  failures: 0,
  ...overrides,
});

const tableOf = (...tasks: readonly NodeTask[]): TaskTable => ({
  tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  launches: 10,
});

/** The table after one task of node0 went through these states, at these milliseconds after the start. */
const after = (...states: readonly (readonly [ms: number, state: TaskState])[]): NodeTask => {
  const launched = applyIntents(empty, [intent('node0', 1)], at(0));
  const table = states.reduce(
    (so, [ms, state]) => applyUpdates(so, [{ taskId: 'node0.1', state }], at(ms)),
    launched,
  );
  return table.tasks['node0'] as NodeTask;
};

describe('task IDs', () => {
  it('contain the node and the number of the launch', () => {
    expect(parseTaskId(taskIdOf('node12', 34))).toEqual({ node: 'node12', launch: 34 });
  });

  it.each(['node3', 'node3.', 'node3.0', 'node3.01', 'node03.1', 'xnode3.1', 'node3.1.2', 'task-1', ''])(
    '%j is not one of ours',
    (text) => expect(parseTaskId(text)).toBeUndefined(),
  );
});

describe('states', () => {
  it('that Mesos may add later are unknown: nothing is launched beside such a task', () => {
    expect(kindOf('TASK_HIBERNATING')).toBe('unknown');
  });

  it('after a terminal one are ignored', () => {
    expect(after([1, 'TASK_RUNNING'], [2, 'TASK_FAILED'], [3, 'TASK_RUNNING']).state).toBe('TASK_FAILED');
  });

  it.each(['TASK_LOST', 'TASK_GONE', 'TASK_DROPPED'] as const)(
    '%s is inferred by the master: the agent may report otherwise',
    (state) => {
      expect(after([1, state], [2, 'TASK_RUNNING']).state).toBe('TASK_RUNNING');
      expect(after([1, state], [2, 'TASK_UNREACHABLE']).state).toBe(state);
    },
  );

  it('an intent that Mesos does not know was dropped; a task that ran may still run', () => {
    expect(after([1, 'TASK_UNKNOWN']).state).toBe('TASK_DROPPED');
    expect(after([1, 'TASK_RUNNING'], [2, 'TASK_UNKNOWN']).state).toBe('TASK_UNKNOWN');
  });

  it('that are not new leave the table unchanged, whatever their message', () => {
    const table = applyUpdates(
      applyIntents(empty, [intent('node0', 1)], at(0)),
      [{ taskId: 'node0.1', state: 'TASK_RUNNING' }],
      at(1),
    );
    const again = { taskId: 'node0.1', state: 'TASK_RUNNING', message: 'Reconciliation' } as const;
    expect(applyUpdates(table, [again], at(2))).toBe(table);
    expect(applyUpdates(table, [{ taskId: 'node0.7', state: 'TASK_FAILED' }], at(2))).toBe(table);
    expect(applyUpdates(table, [{ taskId: 'other', state: 'TASK_FAILED' }], at(2))).toBe(table);
  });

  it('keep only the beginning of a long message', () => {
    const table = applyIntents(empty, [intent('node0', 1)], at(0));
    const [failed] = Object.values(
      applyUpdates(table, [{ taskId: 'node0.1', state: 'TASK_FAILED', message: 'x'.repeat(5_000) }], at(1))
        .tasks,
    );
    expect(failed?.message).toHaveLength(300);
  });
});

describe('failures in a row', () => {
  it('count tasks that ended soon after their start', () => {
    let table = empty;
    for (const launch of [1, 2, 3]) {
      table = applyIntents(table, [intent('node0', launch)], at(launch * 1_000));
      const taskId = taskIdOf('node0', launch);
      table = applyUpdates(table, [{ taskId, state: 'TASK_RUNNING' }], at(launch * 1_000 + 10));
      table = applyUpdates(table, [{ taskId, state: 'TASK_FAILED' }], at(launch * 1_000 + 20));
    }
    expect(table.tasks['node0']?.failures).toBe(3);
  });

  it('start again at one after a task that ran for a minute', () => {
    expect(after([5, 'TASK_RUNNING'], [60_005, 'TASK_FAILED']).failures).toBe(1);
    expect(after([5, 'TASK_RUNNING'], [60_004, 'TASK_FAILED']).failures).toBe(1);
    const table = tableOf(task('node0', 'TASK_RUNNING', { startedAt: at(0), failures: 4 }));
    const ended = (ms: number) =>
      applyUpdates(table, [{ taskId: 'node0.1', state: 'TASK_FAILED' }], at(ms)).tasks['node0']?.failures;
    expect(ended(59_999)).toBe(5);
    expect(ended(60_000)).toBe(1);
  });

  it.each(['TASK_KILLED', 'TASK_GONE', 'TASK_GONE_BY_OPERATOR'] as const)('do not count %s', (state) => {
    const table = tableOf(task('node0', 'TASK_RUNNING', { startedAt: at(0), failures: 4 }));
    expect(applyUpdates(table, [{ taskId: 'node0.1', state }], at(5)).tasks['node0']?.failures).toBe(0);
  });

  it('delay the node longer and longer, up to 30 s', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 50].map(backOffMs)).toEqual([
      0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });
});

describe('intents', () => {
  it('may be stored twice: the first response may have been lost', () => {
    const once = applyIntents(empty, [intent('node0', 1), intent('node1', 2)], at(0));
    expect(intentsRejection(once, [intent('node0', 1), intent('node1', 2)])).toBeUndefined();
    expect(applyIntents(once, [intent('node0', 1), intent('node1', 2)], at(9))).toBe(once);
    expect(once.launches).toBe(2);
  });

  it.each([
    'INTENDED',
    'TASK_STAGING',
    'TASK_RUNNING',
    'TASK_KILLING',
    'TASK_UNREACHABLE',
    'TASK_UNKNOWN',
  ] as const)('are refused while the node has a task in state %s', (state) => {
    expect(intentsRejection(tableOf(task('node0', state)), [intent('node0', 11)])).toMatch(state);
  });

  it('are accepted when the task of the node has ended', () => {
    const table = tableOf(task('node0', 'TASK_FAILED', { failures: 2 }));
    expect(intentsRejection(table, [intent('node0', 11)])).toBeUndefined();
    expect(applyIntents(table, [intent('node0', 11)], at(7)).tasks['node0']).toMatchObject({
      taskId: 'node0.11',
      state: 'INTENDED',
      failures: 2,
    });
  });

  it('never use a task ID twice, nor one of another node', () => {
    expect(intentsRejection(tableOf(), [intent('node0', 10)])).toMatch(/used before/);
    expect(intentsRejection(tableOf(), [{ ...intent('node0', 11), node: 'node1' }])).toMatch(/not a task ID/);
    expect(intentsRejection(tableOf(), [intent('node0', 11), intent('node0', 12)])).toMatch(/two intents/);
  });
});

describe('tasks found in Mesos', () => {
  it('are added where the table has none, and raise the number of launches', () => {
    const found = [{ ...task('node1', 'TASK_RUNNING'), taskId: 'node1.17' }];
    const table = adoptTasks(tableOf(task('node0', 'TASK_RUNNING')), found);
    expect(table.launches).toBe(17);
    expect(table.tasks['node1']?.taskId).toBe('node1.17');
    expect(adoptTasks(table, found)).toBe(table);
  });
});

const plan = (tasks: readonly NodeTask[], overrides: Partial<TaskPlanInput> = {}) =>
  planTasks({
    nodes: ['node0', 'node1', 'node2'],
    tasks: tableOf(...tasks).tasks,
    strangers: [],
    configOf: () => 'c1',
    now: start + 1_000,
    ...overrides,
  });
const running = (node: string, overrides: Partial<NodeTask> = {}) => task(node, 'TASK_RUNNING', overrides);

describe('the plan', () => {
  it('launches nodes without a task, with the host that has their data', () => {
    const { launch, notes } = plan([running('node1'), task('node2', 'TASK_LOST', { host: 'h3' })]);
    expect(launch).toEqual([
      { node: 'node0', waitedMs: 0 },
      { node: 'node2', previousHost: 'h3', waitedMs: 1_000 },
    ]);
    expect(notes).toEqual([]);
  });

  it('needs no offers while all nodes are running or starting', () => {
    expect(offersWanted(plan([running('node0'), running('node1'), running('node2')]))).toBe(false);
    expect(
      offersWanted(plan([task('node0', 'INTENDED'), task('node1', 'TASK_STAGING'), running('node2')])),
    ).toBe(false);
    expect(offersWanted(plan([running('node0'), running('node1')]))).toBe(true);
  });

  it.each(['TASK_UNREACHABLE', 'TASK_UNKNOWN'] as const)(
    'waits for a node in state %s, with a note',
    (state) => {
      const { launch, notes } = plan([
        task('node0', state, { host: 'h2' }),
        running('node1'),
        running('node2'),
      ]);
      expect(launch).toEqual([]);
      expect(notes).toHaveLength(1);
      expect(notes[0]).toMatch(/^node0 waits: .*h2/);
    },
  );

  it('adds what else is known about a waiting node to the note', () => {
    const waiting = [task('node0', 'TASK_UNREACHABLE', { host: 'h2' }), running('node1'), running('node2')];
    const { notes } = plan(waiting, { noteOf: ({ host }) => `${host} is asked` });
    expect(notes).toEqual([expect.stringMatching(/^node0 waits: .*; h2 is asked$/)]);
  });

  it('backs off from a node that fails repeatedly, with a note and a time to wake', () => {
    const failing = task('node0', 'TASK_FAILED', { failures: 4, message: 'exited with status 3' });
    const resting = plan([failing, running('node1'), running('node2')], { now: start + 3_999 });
    expect(resting.launch).toEqual([]);
    expect(resting.wakeAt).toBe(start + 4_000);
    expect(offersWanted(resting)).toBe(true);
    expect(resting.notes[0]).toMatch(/node0 ended 4 times .*exited with status 3.* after 4 s/);
    const rested = plan([failing, running('node1'), running('node2')], { now: start + 4_000 });
    expect(rested.launch.map(({ node }) => node)).toEqual(['node0']);
  });

  it('kills a second task of a node, and launches none beside it', () => {
    const strangers = [{ taskId: 'node0.4', agentId: 'a' }];
    const dead = plan([task('node0', 'TASK_LOST'), running('node1'), running('node2')], { strangers });
    expect(dead.kill).toMatchObject([{ taskId: 'node0.4', agentId: 'a' }]);
    expect(dead.launch).toEqual([]);
    expect(plan([running('node0'), running('node1')], { strangers }).kill).toHaveLength(1);
  });

  it('kills one task with an old configuration at a time, while all others run', () => {
    const old = { config: 'c0' };
    expect(plan([running('node0', old), running('node1', old), running('node2')]).roll).toMatchObject({
      node: 'node0',
      taskId: 'node0.1',
    });
    for (const state of [
      'INTENDED',
      'TASK_STAGING',
      'TASK_FAILED',
      'TASK_UNREACHABLE',
      'TASK_KILLING',
    ] as const) {
      expect(plan([running('node0', old), running('node1', old), task('node2', state)]).roll).toBeUndefined();
    }
    expect(plan([running('node0', old), running('node1')]).roll).toBeUndefined();
  });

  it('completes one kill before it orders the next', () => {
    const old = { config: 'c0' };
    const { roll } = plan([running('node0', old), task('node1', 'TASK_KILLING', old), running('node2', old)]);
    expect(roll?.node).toBe('node1');
  });

  it('removes surplus nodes one by one, the highest first, and forgets none of the others', () => {
    const tasks = [0, 1, 2, 3, 4].map((index) => running(`node${index}`));
    expect(plan(tasks).roll).toMatchObject({ node: 'node4', leaves: true });
    expect(plan(tasks.slice(0, 4)).roll).toMatchObject({ node: 'node3', leaves: true });
    const old = [running('node0', { config: 'c0' }), ...tasks.slice(1, 4)];
    expect(plan(old).roll?.node).toBe('node3');
    expect(plan([...tasks.slice(0, 3), task('node3', 'TASK_KILLING'), running('node4')]).roll?.node).toBe(
      'node3',
    );
    expect(plan([...tasks.slice(0, 2), running('node3')]).roll).toBeUndefined();
  });

  it('ends a task that began to leave etcd, even if its node is desired again', () => {
    const tasks = [
      running('node0'),
      running('node1', { retiring: true }),
      running('node2', { config: 'c0' }),
    ];
    expect(plan(tasks).roll).toMatchObject({ node: 'node1', leaves: true });
  });

  it('notes a surplus node that must wait for one that does not run', () => {
    const { notes, roll } = plan([running('node0'), running('node1'), running('node3')]);
    expect([roll, notes]).toEqual([undefined, ['node3 will be removed as soon as node2 runs']]);
  });

  it('moves a node from a host that holds a majority, if another host can take it', () => {
    const on = (host: string, ...nodes: string[]) => nodes.map((node) => running(node, { host }));
    const spread = { most: 1, hosts: ['h1', 'h2', 'h3'] };
    const crowded = [...on('h1', 'node0', 'node2'), ...on('h2', 'node1')];
    expect(plan(crowded, { spread }).roll).toMatchObject({ node: 'node2', leaves: false });
    expect(plan(crowded, { spread: { ...spread, hosts: ['h1', 'h2'] } }).roll).toBeUndefined();
    expect(plan(crowded).roll).toBeUndefined();
    const even = [...on('h1', 'node0'), ...on('h2', 'node1'), ...on('h3', 'node2')];
    expect(plan(even, { spread }).roll).toBeUndefined();
  });

  it('moves nodes off a host that may hold none, one at a time, while all others run', () => {
    const on = (host: string, ...nodes: string[]) => nodes.map((node) => running(node, { host }));
    const mayHold = (host: string) => host !== 'h1';
    const tasks = [...on('h1', 'node0', 'node2'), ...on('h2', 'node1')];
    const whole = plan(tasks, { mayHold });
    expect(whole.roll).toMatchObject({
      node: 'node0',
      leaves: false,
      moves: true,
      why: 'its host is drained',
    });
    expect(whole.notes).toEqual([
      'node0 will move from h1 to another host',
      'node2 will move from h1 to another host',
    ]);
    expect(offersWanted(whole)).toBe(true);
    const degraded = plan([...on('h1', 'node0', 'node2'), task('node1', 'TASK_FAILED')], { mayHold });
    expect(degraded.roll).toBeUndefined();
    expect(plan(tasks, { mayHold: () => true }).roll).toBeUndefined();
  });

  it('restarts no node because of its host: the digest is that of the host it runs on', () => {
    const configOf = (node: string, host: string) => `${node}@${host}`;
    const tasks = ['node0', 'node1', 'node2'].map((node) => running(node, { config: `${node}@h1` }));
    expect(plan(tasks, { configOf }).roll).toBeUndefined();
  });
});

const states = [
  'INTENDED',
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_UNREACHABLE',
  'TASK_UNKNOWN',
  'TASK_FAILED',
  'TASK_LOST',
  'TASK_KILLED',
  'TASK_GONE',
  'TASK_HIBERNATING',
] as const satisfies readonly TaskState[];

describe('for all sequences of events', () => {
  const arbitraryTasks = fc
    .array(
      fc.record({
        index: fc.nat({ max: 6 }),
        state: fc.constantFrom(...states),
        config: fc.constantFrom('c0', 'c1'),
        failures: fc.nat({ max: 9 }),
      }),
    )
    .map((list) =>
      list.map(({ index, ...rest }) =>
        task(`node${index}`, rest.state, { ...rest, taskId: `node${index}.1` }),
      ),
    );
  const arbitraryStrangers = fc
    .array(fc.nat({ max: 6 }), { maxLength: 3 })
    .map((list) => list.map((index) => ({ taskId: `node${index}.9` })));
  const nodes = ['node0', 'node1', 'node2', 'node3', 'node4'];

  it('no node is launched that may have a task, and a quorum of tasks is never touched', () => {
    fc.assert(
      fc.property(arbitraryTasks, arbitraryStrangers, (tasks, strangers) => {
        const { tasks: table } = tableOf(...tasks);
        const result = planTasks({
          nodes,
          tasks: table,
          strangers,
          configOf: () => 'c1',
          now: start + 60_000,
        });
        for (const { node } of result.launch) {
          const present = table[node];
          expect(present === undefined || kindOf(present.state) === 'terminal').toBe(true);
          expect(strangers.some(({ taskId }) => parseTaskId(taskId)?.node === node)).toBe(false);
        }
        const rolled = result.roll;
        if (rolled !== undefined) {
          const others = nodes.filter((node) => node !== rolled.node);
          expect(others.every((node) => table[node]?.state === 'TASK_RUNNING')).toBe(true);
        }
      }),
    );
  });

  it('intents that follow the plan are never refused, and applying them leaves nothing to launch', () => {
    fc.assert(
      fc.property(arbitraryTasks, (tasks) => {
        const table = tableOf(...tasks);
        const input = { nodes, strangers: [], configOf: () => 'c1', now: start + 60_000 };
        const intents = planTasks({ ...input, tasks: table.tasks }).launch.map(({ node }, index) =>
          intent(node, table.launches + 1 + index),
        );
        expect(intentsRejection(table, intents)).toBeUndefined();
        const next = applyIntents(table, intents, at(60_000));
        expect(planTasks({ ...input, tasks: next.tasks }).launch).toEqual([]);
      }),
    );
  });

  it('no order of updates makes two tasks of one node', () => {
    const update = fc.record({
      taskId: fc.constantFrom('node0.1', 'node0.2', 'node1.3'),
      state: fc.constantFrom(...states),
    });
    fc.assert(
      fc.property(fc.array(update), (updates) => {
        let table = applyIntents(empty, [intent('node0', 1)], at(0));
        for (const [index, each] of updates.entries()) {
          table = applyUpdates(table, [each], at(index));
          const next = intent('node0', table.launches + 1);
          const refused = intentsRejection(table, [next]) !== undefined;
          expect(refused).toBe(kindOf(table.tasks['node0']?.state ?? 'TASK_FAILED') !== 'terminal');
        }
      }),
    );
  });
});
