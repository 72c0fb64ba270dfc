import { expect, it } from 'vitest';
import { unseen, type SourcedEvent } from '../../../src/cli/verbs/events.js';

const of = (source: 'keeper' | 'framework', seq: number, at: string): SourcedEvent => ({
  source,
  seq,
  at,
  kind: 'lost',
  what: `${source} ${seq}`,
});

it('events of keeper and framework are ordered, each once', () => {
  const events = [
    of('keeper', 2, '2026-01-01T00:00:03.000Z'),
    of('keeper', 1, '2026-01-01T00:00:01.000Z'),
    of('framework', 8, '2026-01-01T00:00:02.000Z'),
    of('framework', 7, '2026-01-01T00:00:02.000Z'),
  ];
  const printed = (seen: { keeper: number; framework: number }) =>
    unseen(events, seen).map(({ what }) => what);
  expect(printed({ keeper: 0, framework: 0 })).toEqual([
    'keeper 1',
    'framework 7',
    'framework 8',
    'keeper 2',
  ]);
  expect(printed({ keeper: 1, framework: 8 })).toEqual(['keeper 2']);
});
