import { describe, expect, it } from 'vitest';
import { epochOf, highestEpoch, raftTermOf, termIn, termText } from '../../src/etcd/term.js';

describe('a term', () => {
  it('is the raft term before the first recovery', () => {
    expect(termIn(0, 57)).toBe(57);
    expect(termText(57)).toBe('57');
  });

  it('is higher in a higher epoch, whatever the raft term', () => {
    expect(termIn(1, 0)).toBeGreaterThan(termIn(0, 4_000_000_000));
    expect(termIn(3, 2)).toBeGreaterThan(termIn(3, 1));
  });

  it.each([
    [0, 0],
    [1, 2],
    [highestEpoch, 2 ** 32 - 1],
  ])('has epoch %d and raft term %d', (epoch, raftTerm) => {
    const term = termIn(epoch, raftTerm);
    expect(Number.isSafeInteger(term)).toBe(true);
    expect([epochOf(term), raftTermOf(term)]).toEqual([epoch, raftTerm]);
  });

  it('names its epoch', () => {
    expect(termText(termIn(2, 7))).toBe('7 of epoch 2');
  });
});
