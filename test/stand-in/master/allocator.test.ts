import { describe, expect, it } from 'vitest';
import { allocate, type Claimant, type FreeAgent } from '../../../src/stand-in/master/allocator.js';
import { noResources, type Resources } from '../../../src/stand-in/resources.js';

const amount = (cpus: number, mem: number): Resources => ({ scalars: { cpus, mem }, ranges: {} });
const agent = (id: string, cpus = 2, mem = 1024): FreeAgent => ({ id, free: amount(cpus, mem) });
const claimant = (id: string, more: Partial<Claimant> = {}): Claimant => ({
  id,
  held: noResources,
  filters: [],
  ...more,
});
const total = amount(6, 3072);

describe('allocate', () => {
  it('offers everything to the only framework', () => {
    const made = allocate([agent('a'), agent('b')], [claimant('f')], total, 0);
    expect(made.map(({ agentId, frameworkId }) => [agentId, frameworkId])).toEqual([
      ['a', 'f'],
      ['b', 'f'],
    ]);
  });

  it('gives each agent to the framework with the smallest dominant share', () => {
    const made = allocate(
      [agent('a'), agent('b'), agent('c')],
      [claimant('greedy', { held: amount(3, 64) }), claimant('modest')],
      total,
      0,
    );
    expect(made.map(({ frameworkId }) => frameworkId)).toEqual(['modest', 'modest', 'greedy']);
  });

  it('offers declined resources to others, and again after the filter expires or when there are more', () => {
    const declined = claimant('f', { filters: [{ agentId: 'a', resources: amount(2, 1024), until: 1_000 }] });
    expect(allocate([agent('a')], [declined], total, 999)).toEqual([]);
    expect(allocate([agent('b')], [declined], total, 999)).toHaveLength(1);
    expect(allocate([agent('a')], [declined], total, 1_000)).toHaveLength(1);
    expect(allocate([agent('a', 3, 1024)], [declined], total, 999)).toHaveLength(1);
    expect(allocate([agent('a', 1, 512)], [declined], total, 999)).toEqual([]);
    expect(allocate([agent('a')], [declined, claimant('g')], total, 999)).toMatchObject([
      { frameworkId: 'g' },
    ]);
  });

  it('offers nothing below the minimum, and nothing without a framework', () => {
    expect(allocate([agent('a', 0.005, 16)], [claimant('f')], total, 0)).toEqual([]);
    expect(allocate([agent('a')], [], total, 0)).toEqual([]);
  });
});
