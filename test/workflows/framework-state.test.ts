import { describe, expect, it } from 'vitest';
import { placeOfTarget, withHostKeys } from '../../src/cluster/host-keys.js';
import { nodeConfig } from '../../src/node/config.js';
import type { NodePlan } from '../../src/node/plan.js';
import type { FrameworkState } from '../../src/temporal/contract.js';
import {
  carriedOver,
  claim,
  claimRejection,
  compareLeases,
  configure,
  details,
  emptyState,
  fence,
  firstMemory,
  frameworkIdRejection,
  leaseRejection,
  sameJson,
  withFailure,
  withFencing,
  withFrameworkId,
  withIntents,
  withMasters,
  withMissing,
  withTaskUpdates,
} from '../../src/workflows/framework-state.js';
import { makeHost, makeSpec } from '../support/spec.js';

const spec = makeSpec({ name: 'c', nodes: { count: 3 } });
const somePlan: NodePlan = { common: nodeConfig(spec, 0, makeHost('h1')), hosts: {}, digests: [] };
const at = '2026-11-22T09:00:00.000Z';
const intent = (node: string, launch: number, host = 'h1') => ({
  node,
  taskId: `${node}.${launch}`,
  agentId: 'A',
  host,
  config: 'digest',
});
const running = (...nodes: readonly string[]): FrameworkState =>
  withTaskUpdates(
    withIntents(
      withFrameworkId(emptyState, 'F', []),
      nodes.map((node, index) => intent(node, index + 1)),
      at,
    ),
    nodes.map((node, index) => ({ taskId: `${node}.${index + 1}`, state: 'TASK_RUNNING' as const })),
    at,
    spec,
  );

describe('configure', () => {
  it('takes over keys of hosts, and keeps known ones, without a change', () => {
    const keys = (line: string) =>
      Object.fromEntries(spec.hosts.map(({ ssh }) => [placeOfTarget(ssh), [line]]));
    const keyed = withHostKeys(spec, keys('ssh-ed25519 AAAA'));
    const { memory } = configure(firstMemory({ spec }), spec, somePlan);
    const rekeyed = configure(memory, keyed, somePlan);
    expect(rekeyed).toEqual({ memory: { ...memory, spec: keyed }, result: 'unchanged' });
    expect(rekeyed.memory.spec, 'the scheduler must be started anew').not.toBe(memory.spec);
    expect(configure(rekeyed.memory, { ...spec }, somePlan).memory.spec).toBe(keyed);
    const replaced = withHostKeys(spec, keys('ssh-ed25519 BBBB'));
    expect(configure(rekeyed.memory, replaced, somePlan)).toMatchObject({
      memory: { spec: replaced },
      result: 'unchanged',
    });
    const other = { ...spec, etcd: { ...spec.etcd, token: 'other' } };
    const changed = configure(rekeyed.memory, other, somePlan);
    expect(changed).toMatchObject({ result: 'changed', memory: { spec: { hosts: keyed.hosts } } });
  });

  it('starts once, changes with the spec, and otherwise changes nothing', () => {
    const fresh = firstMemory({ spec });
    const started = configure(fresh, { ...spec });
    expect(started.result).toBe('started');
    expect(started.memory.spec, 'the scheduler must not be started anew').toBe(spec);
    const again = configure(started.memory, structuredClone(spec));
    expect(again).toEqual({ memory: started.memory, result: 'unchanged' });
    const other = { ...spec, etcd: { ...spec.etcd, token: 'other' } };
    expect(configure(started.memory, other)).toMatchObject({ result: 'changed', memory: { spec: other } });
  });

  it('reports `started` for the first configure, even with another spec than the initial one', () => {
    const other = { ...spec, etcd: { ...spec.etcd, token: 'other' } };
    expect(configure(firstMemory({ spec }), other)).toMatchObject({
      result: 'started',
      memory: { spec: other },
    });
  });

  it('clears a failure', () => {
    const failure = { code: 'MESOS_REFUSED', message: 'm', remedy: 'r' };
    const memory = {
      ...firstMemory({ spec }),
      configured: true,
      state: withFailure(running('node0'), failure),
    };
    const { memory: next, result } = configure(memory, spec);
    expect(result).toBe('changed');
    expect(next.state).toEqual(running('node0'));
  });

  it('restarts the scheduler for another plan of the nodes, and not for the same one', () => {
    const plan = (program: string): NodePlan => ({ ...somePlan, digests: [program] });
    const first = configure({ ...firstMemory({ spec }), configured: true }, spec, plan('one')).memory;
    expect(first.state.plan).toEqual(plan('one'));
    const same = configure(first, spec, plan('one'));
    expect(same).toEqual({ result: 'unchanged', memory: first });
    const other = configure(first, spec, plan('two'));
    expect(other).toMatchObject({ result: 'changed', memory: { state: { plan: plan('two') } } });
    // The workflow restarts the scheduler when the memory has another spec.
    expect(other.memory.spec).not.toBe(first.spec);
    expect(carriedOver(other.memory).state?.plan).toEqual(plan('two'));
  });

  it('registers again after the framework was removed: asks about its tasks, keeps their hosts', () => {
    const failure = { code: 'MESOS_FRAMEWORK_REMOVED', message: 'm', remedy: 'r' };
    const memory = {
      ...firstMemory({ spec }),
      configured: true,
      state: withFailure(running('node0'), failure),
    };
    const earlier = configure(memory, spec, undefined, false).memory.state;
    expect(earlier.tasks['node0']).toMatchObject({ state: 'TASK_GONE', host: 'h1', failures: 0 });
    const { state } = configure(memory, spec).memory;
    expect(state).not.toHaveProperty('frameworkId');
    expect(state).not.toHaveProperty('failure');
    expect(state.tasks['node0']).toMatchObject({ state: 'TASK_UNKNOWN', host: 'h1', failures: 0 });
    expect(state.launches).toBe(1);
  });

  it('does not consider a task gone that the removal of the framework may not have reached', () => {
    const failure = { code: 'MESOS_FRAMEWORK_REMOVED', message: 'm', remedy: 'r' };
    const updates = [{ taskId: 'node1.2', state: 'TASK_UNREACHABLE' as const }];
    const cutOff = withTaskUpdates(running('node0', 'node1'), updates, at, spec);
    const memory = { ...firstMemory({ spec }), configured: true, state: withFailure(cutOff, failure) };
    const { tasks } = configure(memory, spec).memory.state;
    expect(tasks).toMatchObject({ node0: { state: 'TASK_UNKNOWN' }, node1: { state: 'TASK_UNKNOWN' } });
  });

  it('forgets a surplus node whose task has ended', () => {
    const updates = [{ taskId: 'node2.3', state: 'TASK_GONE' as const }];
    const state = withTaskUpdates(running('node0', 'node1', 'node2'), updates, at, spec);
    const memory = { ...firstMemory({ spec }), configured: true, state };
    const fewer = { ...spec, nodes: { ...spec.nodes, count: 2 } };
    expect(Object.keys(configure(memory, fewer).memory.state.tasks)).toEqual(['node0', 'node1']);
  });
});

describe('who may write', () => {
  const lease = { run: 2, attempt: 3 };
  const state = claim(emptyState, lease, '1@here');

  it('is the attempt that claimed last, and no other', () => {
    expect(leaseRejection(state, lease)).toBeUndefined();
    for (const other of [
      { run: 2, attempt: 2 },
      { run: 2, attempt: 4 },
      { run: 1, attempt: 9 },
      { run: 3, attempt: 1 },
    ]) {
      expect(leaseRejection(state, other)).toMatch(/not, or no longer, the scheduler/);
    }
    expect(leaseRejection(emptyState, lease)).toBeDefined();
  });

  it('a later attempt may claim, and the same one again; an earlier one may not', () => {
    expect(claimRejection(state, 2, lease)).toBeUndefined();
    expect(claimRejection(state, 2, { run: 2, attempt: 4 })).toBeUndefined();
    expect(claimRejection(state, 2, { run: 2, attempt: 2 })).toMatch(/1@here/);
  });

  it('an attempt of an earlier run may never claim, however high its number', () => {
    expect(claimRejection(state, 3, { run: 2, attempt: 99 })).toMatch(/run 2 .* ended/);
    expect(claimRejection(state, 3, { run: 3, attempt: 1 })).toBeUndefined();
  });

  it('runs count before attempts', () => {
    expect(compareLeases({ run: 2, attempt: 1 }, { run: 1, attempt: 9 })).toBeGreaterThan(0);
    expect(compareLeases({ run: 2, attempt: 1 }, { run: 2, attempt: 2 })).toBeLessThan(0);
    expect(compareLeases(lease, { ...lease })).toBe(0);
  });
});

describe('the framework ID', () => {
  it('is stored once', () => {
    expect(frameworkIdRejection(emptyState, 'F')).toBeUndefined();
    const state = withFrameworkId(emptyState, 'F', []);
    expect(frameworkIdRejection(state, 'F')).toBeUndefined();
    expect(frameworkIdRejection(state, 'G')).toMatch(/already has the ID F/);
  });

  it('comes with the tasks that Mesos has, when it was found there', () => {
    const task = Object.values(running('node1').tasks)[0];
    if (task === undefined) throw new Error('no task');
    const state = withFrameworkId(emptyState, 'F', [{ ...task, taskId: 'node1.8' }]);
    expect(state).toMatchObject({ frameworkId: 'F', launches: 8, tasks: { node1: { taskId: 'node1.8' } } });
  });
});

describe('tasks', () => {
  it('of a surplus node are forgotten when they have ended, not before', () => {
    const state = running('node0', 'node1', 'node2', 'node3');
    const killing = withTaskUpdates(state, [{ taskId: 'node3.4', state: 'TASK_KILLING' }], at, spec);
    expect(Object.keys(killing.tasks)).toContain('node3');
    const killed = withTaskUpdates(killing, [{ taskId: 'node3.4', state: 'TASK_KILLED' }], at, spec);
    expect(Object.keys(killed.tasks)).toEqual(['node0', 'node1', 'node2']);
    expect(killed.launches).toBe(4);
  });

  it('of a desired node are remembered: its data are on its host', () => {
    const state = withTaskUpdates(running('node0'), [{ taskId: 'node0.1', state: 'TASK_FAILED' }], at, spec);
    expect(state.tasks['node0']).toMatchObject({ state: 'TASK_FAILED', host: 'h1' });
  });

  it('without changes return the very same state', () => {
    const state = running('node0');
    expect(withTaskUpdates(state, [{ taskId: 'node0.1', state: 'TASK_RUNNING' }], at, spec)).toBe(state);
  });
});

describe('fencing', () => {
  const lost = (...nodes: readonly string[]) =>
    withTaskUpdates(
      running(...nodes),
      nodes.map((node, index) => ({ taskId: `${node}.${index + 1}`, state: 'TASK_UNREACHABLE' as const })),
      at,
      spec,
    );

  it('a declaration is answered with the nodes that it concerns, and shown', () => {
    const { state, result } = fence(lost('node0', 'node1'), 'h1', at);
    expect(result).toEqual({ changed: true, nodes: ['node0', 'node1'] });
    expect(fence(state, 'h1', at)).toEqual({ state, result: { ...result, changed: false } });
    expect(details({ ...firstMemory({ spec }), state })).toContain(
      `- h1 was declared dead by an operator at ${at}: node0, node1\n`,
    );
  });

  it('a declaration ends when a task is launched there again', () => {
    const { state } = fence(lost('node0'), 'h1', at);
    const given = withFencing(state, [{ taskId: 'node0.1', how: 'presumed', message: 'm' }], at, spec);
    expect(withIntents(given, [intent('node0', 2, 'h2')], at).fences).toHaveProperty('h1');
    expect(withIntents(given, [intent('node0', 2, 'h1')], at).fences).toEqual({});
  });

  it('a surplus node that is given up is forgotten', () => {
    const state = lost('node0', 'node1', 'node2', 'node3');
    const given = withFencing(state, [{ taskId: 'node3.4', how: 'ended', message: 'm' }], at, spec);
    expect(Object.keys(given.tasks)).toEqual(['node0', 'node1', 'node2']);
    expect(withFencing(given, [{ taskId: 'node3.4', how: 'ended', message: 'm' }], at, spec)).toBe(given);
  });
});

it('what is missing is stored and cleared', () => {
  const state = withMissing(emptyState, 'no room');
  expect(state.missing).toBe('no room');
  expect(withMissing(state, null)).toEqual(emptyState);
});

it('problems of masters are stored and cleared, and shown', () => {
  const state = withMasters(emptyState, { h1: 'the log of h1 is broken' });
  expect(details({ ...firstMemory({ spec }), state })).toContain('- the log of h1 is broken');
  expect(withMasters(state, {})).toEqual(emptyState);
});

it('a new run of the workflow starts from the state, configured, with the next run of the scheduler', () => {
  const state = claim(running('node0'), { run: 4, attempt: 2 }, '1@here');
  const memory = { ...firstMemory({ spec }), state, configured: true, run: 5 };
  const input = JSON.parse(JSON.stringify(carriedOver(memory))) as ReturnType<typeof carriedOver>;
  expect(firstMemory(input)).toEqual({ spec, configured: true, run: 5, state: input.state });
  expect(input.state?.tasks).toEqual(state.tasks);
  expect(configure(firstMemory(input), spec).result).toBe('unchanged');
});

it('equal data are equal whatever the order of their keys', () => {
  expect(sameJson({ a: 1, b: { c: [1, 2], d: null } }, { b: { d: null, c: [1, 2] }, a: 1 })).toBe(true);
  expect(sameJson({ a: [1, 2] }, { a: [2, 1] })).toBe(false);
});

it('the details show the tasks as a table, in the order of the nodes', () => {
  const nodes = ['node10', 'node2'];
  const state = withMissing(
    withTaskUpdates(
      running(...nodes),
      [{ taskId: 'node2.2', state: 'TASK_FAILED', message: 'a | b\nc' }],
      at,
      makeSpec({ nodes: { count: 11 } }),
    ),
    'node2 waits',
  );
  const text = details({ ...firstMemory({ spec: makeSpec({ name: 'c', nodes: { count: 11 } }) }), state });
  expect(text.split('\n')).toEqual([
    '**Framework of c**: 1 of 11 nodes run.',
    '',
    '- framework ID: F',
    '- scheduler: none yet',
    '- waiting: node2 waits',
    '',
    '| node | host | state | task | since | message |',
    '| --- | --- | --- | --- | --- | --- |',
    `| node2 | h1 | TASK_FAILED | node2.2 | ${at} | a \\| b c |`,
    `| node10 | h1 | TASK_RUNNING | node10.1 | ${at} |  |`,
  ]);
});
