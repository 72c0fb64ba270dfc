import { describe, expect, it } from 'vitest';
import { missingMembers, straysOf } from '../../src/activities/etcd.js';
import type { Member } from '../../src/etcd/members.js';
import { makeSpec } from '../support/spec.js';

const member = (name: string, overrides: Partial<Member> = {}): Member => ({
  id: `id-of-${name}`,
  name,
  peerUrls: [`http://${name}:2380`],
  clientUrls: [`http://${name}:2379`],
  learner: false,
  ...overrides,
});
const unstarted = (overrides: Partial<Member> = {}) =>
  member('', { id: 'c0ffee', clientUrls: [], ...overrides });
const missing = (...members: readonly Member[]) =>
  missingMembers(['node0', 'node1'], { clusterId: 'c', members });

describe('missingMembers', () => {
  it('is undefined when every node has its member, and there are no others', () => {
    expect(missing(member('node1'), member('node0'))).toBeUndefined();
  });

  it('names the nodes without a started member', () => {
    expect(missing(member('node0'), unstarted())).toBe('no started member for node1');
  });

  it('names members without a node, by ID if they have never started', () => {
    expect(missing(member('node0'), member('node1'), member('node2'), unstarted())).toBe(
      'members that belong to no node: node2, c0ffee',
    );
  });

  it('waits for learners', () => {
    expect(missing(member('node0'), member('node1', { learner: true }))).toBe('still learners: node1');
  });

  it('passes on why the membership is unknown', () => {
    expect(missingMembers(['node0'], 'the leader is no node')).toBe('the leader is no node');
  });
});

describe('straysOf', () => {
  const spec = makeSpec({ nodes: { count: 1 } });
  const task = (node: string, state: 'TASK_RUNNING' | 'TASK_UNREACHABLE' | 'TASK_KILLED') => ({
    [node]: { node, taskId: `${node}.1`, agentId: 'a', host: 'h', config: '', state, since: '', failures: 0 },
  });
  const strays = (tasks: Parameters<typeof straysOf>[2]) =>
    straysOf(spec, [member('node0'), member('node5')], tasks).map(({ name }) => name);

  it('are members of nodes that are not in the spec and have no task', () => {
    expect(strays({})).toEqual(['node5']);
    expect(strays(task('node5', 'TASK_KILLED'))).toEqual(['node5']);
    expect(strays(task('node5', 'TASK_RUNNING'))).toEqual([]);
    expect(strays(task('node5', 'TASK_UNREACHABLE'))).toEqual([]);
  });

  it('are none while the tasks are unknown', () => {
    expect(strays(undefined)).toEqual([]);
  });
});
