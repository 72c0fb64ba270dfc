import { expect, it } from 'vitest';
import {
  cordonRejection,
  mayHoldNodes,
  withCordon,
  withoutCordons,
} from '../../../src/mesos/scheduler/cordons.js';
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
