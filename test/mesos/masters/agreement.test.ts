import { expect, it } from 'vitest';
import { leaderOf } from '../../../src/mesos/masters/agreement.js';

it.each<[string, Readonly<Record<string, string | null>>, string | undefined]>([
  ['the one that all name', { h1: 'h1', h2: 'h1', h3: 'h1' }, 'h1'],
  ['nobody who does not say so itself', { h2: 'h1', h3: 'h1' }, undefined],
  ['nobody when none is named', { h1: null, h2: null }, undefined],
  ['not one that was suspended and still believes it', { h1: 'h1', h2: 'h2', h3: 'h2' }, 'h2'],
  ['nobody as long as it cannot be told', { h1: 'h1', h2: 'h2' }, undefined],
  ['nobody without an answer', {}, undefined],
])('%s', (_, masters, leader) => {
  expect(leaderOf(masters)).toBe(leader);
});
