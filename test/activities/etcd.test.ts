import { describe, expect, it } from 'vitest';
import { lackOf } from '../../src/activities/etcd.js';
import type { Member } from '../../src/etcd/members.js';

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
const lack = (...members: readonly Member[]) => lackOf(['node0', 'node1'], { clusterId: 'c', members });

describe('lackOf', () => {
  it('is nothing when every node has its member, and nobody else is one', () => {
    expect(lack(member('node1'), member('node0'))).toBeUndefined();
  });

  it('names the nodes without a started member', () => {
    expect(lack(member('node0'), unstarted())).toBe('no started member for node1');
  });

  it('names members of no node, by ID where they have never started', () => {
    expect(lack(member('node0'), member('node1'), member('node2'), unstarted())).toBe(
      'members of no node: node2, c0ffee',
    );
  });

  it('waits for learners', () => {
    expect(lack(member('node0'), member('node1', { learner: true }))).toBe('still learning: node1');
  });

  it('passes on why the membership is not known', () => {
    expect(lackOf(['node0'], 'the leader is no node')).toBe('the leader is no node');
  });
});
