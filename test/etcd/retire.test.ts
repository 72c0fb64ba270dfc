import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideRetirement, strayMembers, type RetirementInput } from '../../src/etcd/retire.js';
import { majority } from '../../src/cluster/spec.js';
import { learnerOf, memberOf, silent, urlOf, viewOf } from '../support/members.js';

const names = (count: number) => Array.from({ length: count }, (_, index) => `node${index}`);

/** The highest of `count` nodes retires; `down` do not respond. */
function leaving(count: number, down: readonly number[], change: Partial<RetirementInput> = {}) {
  const members = Array.from({ length: count }, (_, index) => memberOf(index));
  return decideRetirement({
    node: `node${count - 1}`,
    peerUrl: urlOf(count - 1),
    staying: names(count - 1),
    peers: members.map((_, index) => (down.includes(index) ? silent(index) : viewOf(index, members))),
    serves: false,
    ...change,
  });
}

describe('a retiring node', () => {
  it('has its member removed through the remaining nodes', () => {
    for (const count of [5, 4, 3, 2]) {
      expect(leaving(count, [])).toEqual({
        kind: 'remove',
        memberId: `m${count - 1}`,
        through: names(count - 1),
      });
    }
  });

  it('hands over first if it serves or leads', () => {
    expect(leaving(3, [], { serves: true })).toMatchObject({ kind: 'move', to: ['node0', 'node1'] });
    expect(leaving(3, [], { node: 'node0', peerUrl: urlOf(0), staying: ['node1', 'node2'] })).toMatchObject({
      kind: 'move',
      to: ['node1', 'node2'],
      reason: 'it leads etcd',
    });
  });

  it('waits while another one is down, and names it', () => {
    expect(leaving(5, [2])).toEqual({
      kind: 'wait',
      reason: 'node4 stays while etcd members are unhealthy: node2',
    });
    expect(leaving(3, [1], { serves: true })).toMatchObject({ kind: 'wait' });
    expect(leaving(3, [0, 1, 2])).toEqual({ kind: 'wait', reason: 'node2 stays: no etcd quorum responds' });
  });

  it('does not wait for another retiring node', () => {
    expect(leaving(5, [4], { node: 'node3', peerUrl: urlOf(3), staying: names(3) })).toMatchObject({
      kind: 'remove',
      memberId: 'm3',
    });
  });

  it('leaves at once if its own member is down or a learner: it has no part in the quorum', () => {
    expect(leaving(5, [4, 1])).toMatchObject({ kind: 'remove', memberId: 'm4' });
    const members = [memberOf(0), memberOf(1), memberOf(2), learnerOf(3)];
    const peers = [0, 1].map((index) => viewOf(index, members));
    expect(leaving(4, [], { peers: [...peers, silent(2), silent(3)] })).toMatchObject({
      kind: 'remove',
      memberId: 'm3',
    });
  });

  it('is gone when no member has its name or address', () => {
    const members = [0, 1].map(memberOf);
    const peers = members.map((_, index) => viewOf(index, members));
    expect(leaving(3, [], { peers })).toEqual({ kind: 'gone' });
    const unnamed = [...members, { ...learnerOf(2), name: '' }];
    const seen = members.map((_, index) => viewOf(index, unnamed));
    expect(leaving(3, [], { peers: seen })).toMatchObject({ kind: 'remove', memberId: 'm2' });
  });

  it('never removes the majority', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.array(fc.nat({ max: 8 })), (count, down) => {
        const decision = leaving(count, down);
        if (decision.kind !== 'remove') return;
        expect(decision.through.length).toBeGreaterThanOrEqual(majority(count - 1));
        for (const index of down) expect(decision.through).not.toContain(`node${index}`);
      }),
    );
  });
});

describe('stray members', () => {
  it('are those of no desired node', () => {
    const wanted = [0, 1].map((index) => ({ name: `node${index}`, peerUrl: urlOf(index) }));
    const unnamed = { ...learnerOf(1), name: '' };
    expect(strayMembers([memberOf(0), unnamed, memberOf(2)], wanted)).toEqual([memberOf(2)]);
  });
});
