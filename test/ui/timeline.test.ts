import { describe, expect, it } from 'vitest';
import {
  hashOf,
  momentsOf,
  placeOf,
  spans,
  ticksOf,
  windowOf,
  within,
  type Remembered,
} from '../../src/ui/timeline.js';

const nothing: Remembered = { incidents: [], keeper: [], framework: [], deployments: [], drills: [] };
const time = (seconds: number) => new Date(Date.UTC(2026, 11, 1, 10, 0, seconds)).toISOString();

describe('the moments of a cluster', () => {
  it('are in the order of time, newest first, whoever remembers them', () => {
    const moments = momentsOf({
      incidents: [
        { at: time(20), what: 'node1 → node0, term 3: Jupyter responds', tookMs: 987, routine: true },
      ],
      keeper: [{ seq: 4, at: time(21), kind: 'found', what: 'node0 leads at term 3, after node1 at term 2' }],
      framework: [{ seq: 9, at: time(19), kind: 'ended', what: 'node1.2 on h2 has ended (TASK_FAILED)' }],
      deployments: [
        { workflowId: 'deploy:lab', runId: 'r1', status: 'completed', startedAt: time(0), endedAt: time(9) },
      ],
      drills: [
        {
          ...{ workflowId: 'drill:lab/1', runId: 'r2', status: 'running', startedAt: time(15) },
          ...{ number: 1, drill: 'node-kill', target: 'node1', phase: 'observing' },
        },
      ],
    });
    expect(moments.map(({ kind, what, outcome, tookMs }) => [kind, what, outcome, tookMs])).toEqual([
      ['etcd', 'node0 leads at term 3, after node1 at term 2', undefined, undefined],
      ['incident', 'node1 → node0, term 3: Jupyter responds', 'good', 987],
      ['task', 'node1.2 on h2 has ended (TASK_FAILED)', undefined, undefined],
      ['drill', 'drill 1: node-kill of node1 (observing)', 'running', undefined],
      ['deployment', 'deployment completed', 'good', 9_000],
    ]);
    expect(moments[3]?.workflow).toEqual({ id: 'drill:lab/1', runId: 'r2' });
  });

  it('are there once, if an incident has what an event has', () => {
    const what = 'members that answer: node3, node0';
    const moments = momentsOf({
      ...nothing,
      incidents: [{ at: time(1), what: `${what} → hosts file of node0 written`, tookMs: 137, routine: true }],
      keeper: [{ seq: 1, at: time(1), kind: 'found', what }],
    });
    expect(moments.map(({ kind }) => kind)).toEqual(['incident']);
  });

  it('tell what failed', () => {
    const moments = momentsOf({
      ...nothing,
      incidents: [{ at: time(5), what: 'no majority', tookMs: 5_000 }],
      keeper: [{ seq: 1, at: time(4), kind: 'lost', what: 'no majority agrees on a leader' }],
      drills: [
        {
          ...{ workflowId: 'drill:lab/2', runId: 'r', status: 'completed', startedAt: time(3), number: 2 },
          ...{ phase: 'failed' },
        },
      ],
      deployments: [{ workflowId: 'deploy:lab', runId: 'd', status: 'timed_out', startedAt: time(2) }],
    });
    expect(moments.map(({ outcome, what }) => `${outcome}: ${what}`)).toEqual([
      'bad: no majority',
      'bad: no majority agrees on a leader',
      'bad: drill 2: drill (failed)',
      'bad: deployment timed out',
    ]);
  });
});

describe('the address of a moment', () => {
  it('is read as it was written', () => {
    const place = { at: time(7), span: 'minute' } as const;
    expect(placeOf(hashOf(place))).toEqual(place);
    expect(placeOf(hashOf({ span: 'day' }))).toEqual({ span: 'day' });
  });

  it.each(['', '#', '#at=yesterday', '#span=century', '#at=&span=hour'])(
    'is now, if it says nothing: %s',
    (hash) => {
      expect(placeOf(hash)).toEqual({ span: 'hour' });
    },
  );
});

describe('the axis', () => {
  const now = Date.parse(time(0));

  it('shows a moment in its middle, and now before its end', () => {
    const at = windowOf({ at: time(0), span: 'minute' }, 0);
    expect([at.from, at.to]).toEqual([now - 30_000, now + 30_000]);
    const follows = windowOf({ span: 'hour' }, now);
    expect(follows.to).toBeGreaterThan(now);
    expect(follows.to - follows.from).toBe(spans.hour);
  });

  it('shows what began before it and lasts', () => {
    const window = { from: now, to: now + 60_000 };
    const moments = momentsOf({
      ...nothing,
      incidents: [
        { at: time(-10), what: 'lasts', tookMs: 15_000 },
        { at: time(-10), what: 'is over', tookMs: 5_000 },
        { at: time(70), what: 'is later', tookMs: 1 },
      ],
    });
    expect(within(moments, window).map(({ what }) => what)).toEqual(['lasts']);
  });

  it('has ticks at round times of the zone', () => {
    const window = { from: now - 5_000, to: now + 25_000 };
    expect(ticksOf(window, 'minute', 0)).toEqual([0, 10_000, 20_000].map((ms) => now + ms));
    const hours = 5.5 * spans.hour;
    const [first = 0] = ticksOf({ from: now, to: now + spans.day }, 'day', hours);
    expect(new Date(first + hours).getUTCHours() % 4).toBe(0);
  });
});
