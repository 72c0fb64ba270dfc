import { expect, it } from 'vitest';
import {
  cordonRejection,
  mayHoldNodes,
  nodesToDrain,
  withCordon,
  withoutCordons,
} from '../../../src/mesos/scheduler/cordons.js';
import type { NodeTask } from '../../../src/mesos/scheduler/tasks.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const at = '2026-11-22T09:00:00.000Z';
const spec = makeSpec({ hosts: [makeHost('h1'), makeHost('h2'), { ...makeHost('h3'), roles: ['proxy'] }] });

it('closes a host once, and opens it', () => {
  const closed = withCordon({}, 'h1', at);
  expect(closed).toEqual({ cordons: { h1: { at } } });
  expect(withCordon(closed, 'h1', 'later')).toBe(closed);
  const both = withCordon(closed, 'h2', at);
  expect(withoutCordons(both, (host) => host === 'h1')).toEqual({ cordons: { h2: { at } } });
  expect(withoutCordons(closed, (host) => host === 'h1')).toEqual({});
  expect(withoutCordons(closed, (host) => host === 'h2')).toBe(closed);
});

it('permits nodes on hosts with an agent that are not closed', () => {
  const facts = withCordon({}, 'h1', at);
  const may = (host: string) => mayHoldNodes(spec, facts, host);
  expect(['h1', 'h2', 'h3', 'h9'].map(may)).toEqual([false, true, false, false]);
  // Of an adopted task whose agent has not registered yet.
  expect(may('')).toBe(true);
});

it('refuses a host without an agent, and one that the cluster lacks', () => {
  expect(cordonRejection(spec, 'h1')).toBeUndefined();
  for (const host of ['h3', 'h9']) expect(cordonRejection(spec, host)).toContain(host);
});

it('names the nodes of hosts that may not hold them', () => {
  const task = (node: string, host: string, state: NodeTask['state']): NodeTask => ({
    ...{ node, taskId: `${node}.1`, agentId: `agent-${host}`, host, state, since: at, config: '' },
    failures: 0,
  });
  const tasks = [
    task('node0', 'h1', 'TASK_RUNNING'),
    task('node1', 'h9', 'TASK_RUNNING'),
    task('node2', 'h9', 'TASK_UNREACHABLE'),
    task('node3', 'h9', 'TASK_FAILED'),
    task('node4', 'h2', 'TASK_RUNNING'),
  ];
  const table = {
    ...withCordon({}, 'h2', at),
    tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  };
  expect(nodesToDrain(spec, table)).toEqual({ h9: ['node1', 'node2'], h2: ['node4'] });
});
