import { expect, it } from 'vitest';
import { nodesWaiting } from '../../src/activities/framework.js';
import { leastSure } from '../../src/activities/framework-ways.js';
import type { NodeTask } from '../../src/mesos/scheduler/tasks.js';
import type { FrameworkState } from '../../src/temporal/contract.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec({ nodes: { count: 3 } });
const task = (node: string, overrides: Partial<NodeTask> = {}): NodeTask => ({
  node,
  taskId: `${node}.1`,
  agentId: 'A',
  host: 'h1',
  config: 'c1',
  state: 'TASK_RUNNING',
  since: '2026-11-22T09:00:00.000Z',
  failures: 0,
  ...overrides,
});
const state = (...tasks: readonly NodeTask[]): FrameworkState => ({
  tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  launches: 5,
  etcdFormed: false,
});
const waiting = (...tasks: readonly NodeTask[]) => nodesWaiting(spec, state(...tasks), () => 'c1');

it('waits for nothing when all nodes are running as specified', () => {
  expect(waiting(task('node0'), task('node1'), task('node2'))).toEqual([]);
});

it('reports what it waits for, node by node', () => {
  expect(
    waiting(task('node0', { state: 'TASK_STAGING', host: 'h2' }), task('node2', { config: 'c0' })),
  ).toEqual([
    'node0 on h2 is in state TASK_STAGING',
    'node1 has no task yet',
    'node2 still has its previous configuration',
  ]);
});

it('waits for the next task of a node that had begun to leave', () => {
  expect(waiting(task('node0'), task('node1'), task('node2', { retiring: true }))).toEqual([
    'node2 on h1 has left etcd and will be relaunched',
  ]);
});

it('waits for surplus nodes to end', () => {
  expect(waiting(task('node0'), task('node1'), task('node2'), task('node3', { host: 'h3' }))).toEqual([
    'node3 on h3 will be stopped',
  ]);
});

it('gives up a node without a known host only when all hosts confirm', () => {
  const gone = { kind: 'gone' } as const;
  const silent = { kind: 'silent', why: 'SSH_TIMEOUT' } as const;
  const alive = { kind: 'alive', why: 'SSH_TIMEOUT' } as const;
  expect(leastSure([gone, gone])).toEqual(gone);
  expect(leastSure([gone, silent, gone])).toEqual(silent);
  expect(leastSure([silent, alive])).toEqual(alive);
});
