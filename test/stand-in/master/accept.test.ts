import { expect, test } from 'vitest';
import { schedulerCallKind } from '../../../src/stand-in/messages.js';
import { readMessage } from '../../../src/stand-in/proto.js';
import {
  invalidOffers,
  planAccept,
  refuseAll,
  type Accept,
  type AcceptStep,
} from '../../../src/stand-in/master/accept.js';
import type { LiveOffer } from '../../../src/stand-in/master/cluster.js';
import { parseResources, type Resources } from '../../../src/stand-in/resources.js';
import { framework } from './state.js';

function resources(text: string): Resources {
  const parsed = parseResources(text);
  if (parsed === undefined) throw new Error(`invalid resources: ${text}`);
  return parsed;
}

function acceptOf(operations: readonly unknown[]): Accept {
  const { accept } = readMessage(schedulerCallKind, {
    type: 'ACCEPT',
    accept: { offer_ids: [{ value: 'o1' }], operations },
  });
  if (accept === undefined) throw new Error('no section accept');
  return accept;
}

const task = (id: string, cpus: number) => ({
  name: id,
  task_id: { value: id },
  agent_id: { value: 'a1' },
  command: { value: 'true' },
  resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: cpus } }],
});
const launch = (...tasks: readonly unknown[]) => ({ type: 'LAUNCH', launch: { task_infos: tasks } });
const group = (...tasks: readonly unknown[]) => ({
  type: 'LAUNCH_GROUP',
  launch_group: { task_group: { tasks } },
});

function outline(steps: readonly AcceptStep[]): string[] {
  return steps.map((step) => {
    if (step.kind === 'ignore') return `ignore ${step.operation}`;
    const id = step.task.task_id.value;
    return step.kind === 'launch' ? `launch ${id}` : `refuse ${id}: ${step.reason}: ${step.message}`;
  });
}

test('tasks share the resources of the offers, in order', () => {
  const { operations } = acceptOf([launch(task('t1', 1.5), task('t2', 1)), launch(task('t3', 0.5))]);
  const { steps, unused } = planAccept(operations, {
    agentId: 'a1',
    available: resources('cpus:2;mem:64'),
    taskIds: [],
  });
  expect(outline(steps)).toEqual([
    'launch t1',
    'refuse t2: REASON_TASK_INVALID: Total resources cpus(*)(allocated: *):1 required by task and its executor is more than available cpus(*)(allocated: *):0.5; mem(*)(allocated: *):64',
    'launch t3',
  ]);
  expect(unused.scalars).toEqual({ cpus: 0, mem: 64 });
});

test('a task ID must be unique in the framework and in the call', () => {
  const { operations } = acceptOf([launch(task('old', 0.1), task('new', 0.1), task('new', 0.1))]);
  const { steps } = planAccept(operations, {
    agentId: 'a1',
    available: resources('cpus:2'),
    taskIds: ['old'],
  });
  expect(outline(steps)).toEqual([
    'refuse old: REASON_TASK_INVALID: Task has duplicate ID: old',
    'launch new',
    'refuse new: REASON_TASK_INVALID: Task has duplicate ID: new',
  ]);
});

test('an unsupported operation is ignored, tasks of a group are rejected', () => {
  const { operations } = acceptOf([{ type: 'RESERVE' }, group(task('g1', 1)), launch(task('t1', 1))]);
  const { steps } = planAccept(operations, {
    agentId: 'a1',
    available: resources('cpus:2'),
    taskIds: [],
  });
  expect(outline(steps)).toEqual([
    'ignore RESERVE',
    'ignore LAUNCH_GROUP',
    'refuse g1: REASON_TASK_GROUP_INVALID: The stand-in launches no task groups',
    'launch t1',
  ]);
});

test('invalid offers drop tasks of a partition-aware framework, and lose those of others', () => {
  const call = acceptOf([launch(task('t1', 1)), group(task('g1', 1))]);
  const states = (capabilities: readonly string[]) =>
    refuseAll(framework('f1', capabilities), call, 'expired').map((refusal) => [
      refusal.task.task_id.value,
      refusal.state,
      refusal.message,
    ]);
  expect(states(['PARTITION_AWARE'])).toEqual([
    ['t1', 'TASK_DROPPED', 'Task launched with invalid offers: expired'],
    ['g1', 'TASK_DROPPED', 'Task launched with invalid offers: expired'],
  ]);
  expect(states([]).map(([, state]) => state)).toEqual(['TASK_LOST', 'TASK_LOST']);
});

test.each<[string, readonly (readonly [id: string, owner?: string, agent?: string])[], string | undefined]>([
  ['one offer', [['o1', 'f1', 'a1']], undefined],
  [
    'two offers of one agent',
    [
      ['o1', 'f1', 'a1'],
      ['o2', 'f1', 'a1'],
    ],
    undefined,
  ],
  ['no offer', [], 'No offers specified'],
  ['a rescinded offer', [['o1']], 'Offer o1 is no longer valid'],
  [
    'an offer to another framework',
    [['o1', 'f2', 'a1']],
    'Offer o1 has invalid framework f2 while framework f1 is expected',
  ],
  [
    'offers of two agents',
    [
      ['o1', 'f1', 'a1'],
      ['o2', 'f1', 'a2'],
    ],
    'Aggregated offers must belong to one single agent: a1, a2',
  ],
])('the validity of %s', (_what, offers, problem) => {
  const accepted = offers.map(([id, frameworkId, agentId]) => {
    if (frameworkId === undefined || agentId === undefined) return { id, offer: undefined };
    const offer: LiveOffer = { id, frameworkId, agentId, resources: resources('cpus:1'), expiry: undefined };
    return { id, offer };
  });
  expect(invalidOffers({ id: 'f1' }, accepted)).toBe(problem);
});
