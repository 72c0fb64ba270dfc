import { describe, expect, it } from 'vitest';
import { decidePromotion } from '../../src/etcd/promote.js';
import { learnerOf, memberOf, silent, viewOf } from '../support/members.js';

const four = [memberOf(0), memberOf(1), memberOf(2), learnerOf(3)];

describe('a learner', () => {
  it('gets its vote through any healthy member', () => {
    const peers = [viewOf(0, four), viewOf(1, four), silent(2)];
    expect(decidePromotion('m3', peers)).toEqual({ kind: 'promote', through: ['node0', 'node1'] });
  });

  it('waits while no quorum responds, or lists it as a learner', () => {
    expect(decidePromotion('m3', [silent(0), silent(1), silent(2)])).toMatchObject({ kind: 'wait' });
    const peers = [viewOf(0, four), viewOf(1, four), viewOf(2, four)];
    expect(decidePromotion('m9', peers)).toMatchObject({ kind: 'wait' });
    expect(decidePromotion('m2', peers)).toMatchObject({ kind: 'wait' });
  });

  it('waits if its vote would leave no majority of healthy members', () => {
    const five = [...[0, 1, 2, 4].map(memberOf), learnerOf(3)];
    // Observed as healthy by only one member, as just after an election.
    const peers = [viewOf(0, five), viewOf(1, five, { term: 4 }), silent(2), silent(4)];
    expect(decidePromotion('m3', peers)).toEqual({
      kind: 'wait',
      reason: 'only 2 of 5 members would be healthy',
    });
  });
});
