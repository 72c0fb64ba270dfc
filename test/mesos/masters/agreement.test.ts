import { expect, it } from 'vitest';
import { leaderOf } from '../../../src/mesos/masters/agreement.js';

it.each<[string, Readonly<Record<string, string | null>>, string | undefined]>([
  ['the one that all name leads', { h1: 'h1', h2: 'h1', h3: 'h1' }, 'h1'],
  ['none leads that does not name itself', { h2: 'h1', h3: 'h1' }, undefined],
  ['none leads when none is named', { h1: null, h2: null }, undefined],
  ['a suspended one that still names itself does not lead', { h1: 'h1', h2: 'h2', h3: 'h2' }, 'h2'],
  ['none leads while they disagree', { h1: 'h1', h2: 'h2' }, undefined],
  ['none leads without a response', {}, undefined],
])('%s', (_, masters, leader) => {
  expect(leaderOf(masters)).toBe(leader);
});
