import { expect, it } from 'vitest';
import { findFramework } from '../../../src/mesos/scheduler/found.js';
import type { FrameworkFacts, MasterState, TaskFacts } from '../../../src/mesos/masters/operator-client.js';
import { makeSpec } from '../../support/spec.js';

const spec = makeSpec({ name: 'c' });
const at = '2026-11-22T09:00:00.000Z';
const label = (key: string, value: string) => ({ key: `perijove.${key}`, value });
const task = (id: string, state: TaskFacts['state'] = 'TASK_RUNNING', agentId = 'S1'): TaskFacts => ({
  id,
  agentId,
  state,
  labels: [label('cluster', 'c'), label('config', `config of ${id}`)],
});
const framework = (id: string, cluster: string, ...tasks: readonly TaskFacts[]): FrameworkFacts => ({
  id,
  name: 'perijove',
  active: false,
  connected: false,
  registeredAt: undefined,
  reregisteredAt: undefined,
  labels: [label('cluster', cluster)],
  tasks,
  unreachableTasks: [],
});
const state = (overrides: Partial<MasterState>): MasterState => ({
  version: '1.3.2',
  leader: 'master@127.0.1.1:5050',
  electedAt: 0,
  agents: [
    {
      id: 'S1',
      hostname: 'x',
      address: '127.0.1.2',
      port: 5051,
      active: true,
      registeredAt: 0,
      attributes: {},
      cpus: 1,
      memoryMebibytes: 1,
    },
  ],
  recoveredAgents: 0,
  frameworks: [],
  completedFrameworks: [],
  ...overrides,
});

it('finds none when there is none, and ignores that of another cluster', () => {
  expect(findFramework(spec, state({}), at)).toBeUndefined();
  expect(
    findFramework(spec, state({ frameworks: [framework('F', 'other', task('node0.1'))] }), at),
  ).toBeUndefined();
});

it('adopts our tasks, with their hosts and the configuration they were launched with', () => {
  const ours = framework(
    'F',
    'c',
    task('node0.1'),
    task('node1.2', 'TASK_STAGING', 'S9'),
    task('somebody-else'),
  );
  expect(findFramework(spec, state({ frameworks: [ours] }), at)).toEqual({
    frameworkId: 'F',
    tasks: [
      {
        node: 'node0',
        taskId: 'node0.1',
        agentId: 'S1',
        host: 'h2',
        config: 'config of node0.1',
        state: 'TASK_RUNNING',
        since: at,
        startedAt: at,
        failures: 0,
      },
      {
        node: 'node1',
        taskId: 'node1.2',
        agentId: 'S9',
        host: '',
        config: 'config of node1.2',
        state: 'TASK_STAGING',
        since: at,
        failures: 0,
      },
    ],
  });
});

it('adopts unreachable tasks too: their nodes must not be launched elsewhere', () => {
  const ours = { ...framework('F', 'c'), unreachableTasks: [task('node0.1', 'TASK_UNREACHABLE')] };
  expect(findFramework(spec, state({ frameworks: [ours] }), at)).toMatchObject({
    tasks: [{ node: 'node0', state: 'TASK_UNREACHABLE' }],
  });
});

it('adopts the newer of two tasks of one node; the other becomes a stranger and is killed', () => {
  for (const tasks of [
    [task('node0.3'), task('node0.12')],
    [task('node0.12'), task('node0.3')],
  ]) {
    expect(findFramework(spec, state({ frameworks: [framework('F', 'c', ...tasks)] }), at)).toMatchObject({
      tasks: [{ taskId: 'node0.12' }],
    });
  }
});

it('adopts the one of two frameworks that has more tasks', () => {
  const frameworks = [framework('A', 'c'), framework('B', 'c', task('node0.1'))];
  expect(findFramework(spec, state({ frameworks }), at)).toMatchObject({ frameworkId: 'B' });
});

it('waits while agents of the registry are missing: they may have tasks of ours', () => {
  const frameworks = [framework('A', 'c')];
  expect(findFramework(spec, state({ frameworks, recoveredAgents: 1 }), at)).toBe('wait');
});
