import { expect, it } from 'vitest';
import { silencesOf } from '../../src/ui/silences.js';
import { recordedView } from './views.js';

const hosts = ['h1', 'h2', 'h3'];
const at = '2026-12-01T10:00:05.000Z';
const found = (name: Parameters<typeof recordedView>[0]) =>
  silencesOf(recordedView(name).status, hosts, { before: [], at });

it('names a host, the workers and Temporal, each when it does not answer', () => {
  expect(found('ready')).toEqual([]);
  expect(found('crashed')).toEqual([{ of: { kind: 'host', name: 'h2' }, since: at }]);
  expect(found('stale')).toEqual([{ of: { kind: 'workers' }, since: at }]);
  expect(found('temporal')).toEqual([{ of: { kind: 'temporal' }, since: at }]);
});

it('keeps since when, until there is an answer', () => {
  const since = '2026-12-01T10:00:00.000Z';
  const before = [{ of: { kind: 'host', name: 'h2' }, since } as const];
  expect(silencesOf(recordedView('crashed').status, hosts, { before, at })).toEqual(before);
  expect(silencesOf(recordedView('ready').status, hosts, { before, at })).toEqual([]);
});

it('does not call a host silent that knows its programs to be down', () => {
  const { status } = recordedView('crashed');
  const members = status.zookeeper.members.map((member) => ({ ...member, mode: 'down' as const }));
  expect(silencesOf({ ...status, zookeeper: { members } }, hosts, { before: [], at })).toEqual([]);
});
