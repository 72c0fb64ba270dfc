import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  adopt,
  conclude,
  concludeFailed,
  decide,
  giveUpReturning,
  initialState,
  mostReturns,
  knownOf,
  note,
  notice,
  outcomeOf,
  pause,
  pauseMs,
  phaseOf,
  respecified,
  resume,
  withIncident,
  type Known,
  type ReconcileResult,
  type WatchObservation,
  type WatchEvent,
} from '../../src/keeper/decide.js';
import type { Drift, DriftKind, KeeperState, Verdict } from '../../src/keeper/state.js';

const now = '2026-01-01T00:00:10.000Z';
const verdict: Verdict = { leader: 'node1', term: 4, live: ['node1', 'node0', 'node2'] };
const route: Drift = { kind: 'route', subject: 'h1', what: 'the proxy on h1 has no route' };
const silent: Drift = { kind: 'proxy-silent', subject: 'h2', what: 'the proxy on h2 does not respond' };

const calm: Known = { verdict, drifts: [], repairs: 0 };
const unsettled: WatchObservation = {
  finding: { kind: 'verdict', verdict },
  drifts: [],
  watchedMs: 1_000,
  noneForMs: 0,
  now,
};
const sees = (observation: Partial<WatchObservation> = {}): WatchObservation => ({
  ...unsettled,
  settledLive: verdict.live,
  ...observation,
});
const none = { kind: 'none', reason: '1 of 3 members respond, 2 are required' } as const;

const nothingDone: ReconcileResult = {
  generation: 3,
  changes: [],
  routes: {},
  unreachable: [],
  drifts: [],
  superseded: false,
  tookMs: { jupyter: 0, routes: 0, hosts: 0, others: 0, total: 0 },
};

describe('the watch', () => {
  test('reports nothing while nothing changes', () => {
    expect(notice(calm, sees())).toBeUndefined();
    expect(notice({ ...calm, drifts: [silent] }, sees({ drifts: [silent] }))).toBeUndefined();
  });

  test('reports the first leader, another leader, and another term', () => {
    expect(notice({ drifts: [], repairs: 0 }, sees())).toEqual({
      kind: 'verdict',
      verdict,
      reason: 'node1 leads at term 4, the first',
    });
    const other = { ...verdict, leader: 'node2', term: 5 };
    const confirmedAt = '2026-01-01T00:00:09.000Z';
    expect(notice(calm, sees({ finding: { kind: 'verdict', verdict: other }, confirmedAt }))).toEqual({
      kind: 'verdict',
      verdict: other,
      reason: 'node2 leads at term 5, after node1 at term 4',
      since: confirmedAt,
    });
    const again = { ...verdict, term: 6 };
    expect(notice(calm, sees({ finding: { kind: 'verdict', verdict: again } }))?.kind).toBe('verdict');
  });

  test('reports the loss of the leader once, after a delay; and when one is known again', () => {
    expect(notice(calm, sees({ finding: none, noneForMs: 2_900 }))).toBeUndefined();
    const lost = notice(calm, sees({ finding: none, noneForMs: 3_000 }));
    expect(lost).toEqual({
      kind: 'lost',
      reason: 'the etcd leader is unknown: 1 of 3 members respond, 2 are required',
      since: now,
    });
    const known = { ...calm, lostSince: now };
    expect(notice(known, sees({ finding: none, noneForMs: 60_000, drifts: [route] }))).toBeUndefined();
    expect(notice(known, sees())).toMatchObject({ kind: 'verdict', verdict, since: now });
  });

  test('reports a new drift at once, and a lasting one after its pause', () => {
    expect(notice(calm, sees({ drifts: [route], watchedMs: 0 }))).toMatchObject({
      kind: 'drift',
      reason: route.what,
    });
    const known = { ...calm, drifts: [route], repairs: 3 };
    expect(notice(known, sees({ drifts: [route], watchedMs: 3_999 }))).toBeUndefined();
    expect(notice(known, sees({ drifts: [route], watchedMs: 4_000 }))).toMatchObject({
      reason: `still ${route.what}`,
    });
  });

  test('never reports twice what does not respond; reports when it returns', () => {
    expect(notice(calm, sees({ drifts: [silent] }))?.reason).toBe(silent.what);
    const known = { ...calm, drifts: [silent] };
    expect(notice(known, sees({ drifts: [silent], watchedMs: 1e9 }))).toBeUndefined();
    expect(notice(known, sees({ drifts: [] }))?.reason).toBe(`resolved: ${silent.what}`);
  });

  test('reports a change of members once it is stable', () => {
    const live = ['node1', 'node2'];
    const finding = { kind: 'verdict', verdict: { ...verdict, live } } as const;
    expect(notice(calm, { ...unsettled, finding })).toBeUndefined();
    expect(notice(calm, sees({ finding, settledLive: live }))).toMatchObject({
      kind: 'drift',
      verdict: { ...verdict, live },
    });
  });

  test('checks another spec again, but not without a leader', () => {
    const known = { ...calm, specChanged: true, repairs: 5 } as const;
    expect(notice(known, sees())).toMatchObject({ kind: 'drift', reason: 'the spec has changed' });
    expect(notice(known, sees({ finding: none }))).toBeUndefined();
    const { state } = decide(respecified({ ...initialState, ...calm, generation: 3 }), {
      kind: 'drift',
      reason: 'the spec has changed',
      verdict,
      since: now,
      watchedMs: 0,
    });
    expect(state.generation).toBe(3);
    expect(
      knownOf(conclude(state, state, { kind: 'lost', reason: '', since: now }, nothingDone, now)),
    ).toEqual({
      ...calm,
      repairs: 1,
    });
  });

  test('a drift does not adopt members that have not settled', () => {
    const finding = { kind: 'verdict', verdict: { ...verdict, live: ['node1'] } } as const;
    expect(notice(calm, { ...unsettled, finding, drifts: [route] })).toMatchObject({
      kind: 'drift',
      verdict,
    });
  });
});

describe('decisions', () => {
  const serving: KeeperState = { ...initialState, generation: 7, verdict, jupyter: 'node1' };

  test('another leader or term raises the generation', () => {
    const event: WatchEvent = { kind: 'verdict', reason: 'r', verdict: { ...verdict, term: 5 } };
    const { state, decision } = decide({ ...serving, repairs: 4, lostSince: now }, event);
    expect(decision).toEqual({ action: 'reconcile', reason: 'r', generation: 8, verdict: event.verdict });
    expect(state).toEqual({ ...serving, generation: 8, verdict: event.verdict, repairs: 0 });
  });

  test('a drift, and a rediscovered leader, are repaired at the same generation', () => {
    const drift: WatchEvent = { kind: 'drift', reason: 'r', verdict, since: now, watchedMs: 10 };
    expect(decide(serving, drift)).toMatchObject({ state: { generation: 7, repairs: 1 } });
    const again: WatchEvent = { kind: 'verdict', reason: 'r', verdict };
    const { state, decision } = decide({ ...serving, lostSince: now }, again);
    expect(decision).toMatchObject({ action: 'reconcile', generation: 7 });
    expect(state).not.toHaveProperty('lostSince');
  });

  test('without a leader nothing moves', () => {
    const { state, decision } = decide(serving, { kind: 'lost', reason: 'r', since: now });
    expect(decision).toEqual({ action: 'hold', reason: 'r' });
    expect(state).toEqual({ ...serving, lostSince: now });
  });

  test('pauses between repairs grow up to a minute; a calm period resets them', () => {
    expect([0, 1, 2, 3, 6, 7, 8, 1_000].map(pauseMs)).toEqual([
      0, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000,
    ]);
    const after = (repairs: number, watchedMs: number) =>
      decide({ ...serving, repairs }, { kind: 'drift', reason: 'r', verdict, since: now, watchedMs }).state
        .repairs;
    expect(after(3, 4_000)).toBe(4);
    expect(after(3, 63_999)).toBe(4);
    expect(after(3, 64_000)).toBe(1);
  });
});

describe('a sticky Jupyter', () => {
  const at: KeeperState = { ...initialState, generation: 7, verdict, jupyter: 'node1', home: 'node1' };
  const drifted: WatchEvent = {
    kind: 'verdict',
    reason: 'r',
    verdict: { leader: 'node2', term: 5, live: ['node2', 'node0', 'node1'] },
  };

  test('has its home where it first ran', () => {
    const event: WatchEvent = { kind: 'verdict', reason: 'r', verdict };
    expect(decide(initialState, event, 'sticky').state.home).toBe('node1');
    expect(decide(initialState, event, 'leader').state).not.toHaveProperty('home');
    const drift: WatchEvent = { kind: 'drift', reason: 'r', verdict, since: now, watchedMs: 5 };
    const { home, ...before } = at;
    expect(decide(before, drift, 'sticky').state.home).toBe('node1');
  });

  test('has leadership moved back, and nothing else moves', () => {
    const { state, decision } = decide(at, drifted, 'sticky');
    expect(decision).toMatchObject({ action: 'return', to: 'node1', verdict: drifted.verdict });
    expect(state).toEqual({ ...at, returns: 1 });
    const back: WatchEvent = { kind: 'verdict', reason: 'r', verdict: { ...verdict, term: 6 } };
    const after = decide(state, back, 'sticky');
    expect(after.decision).toMatchObject({ action: 'reconcile', generation: 8 });
    expect(after.state).not.toHaveProperty('returns');
  });

  test('follows leadership when its own member is dead', () => {
    const without = { ...drifted, verdict: { ...drifted.verdict, live: ['node2', 'node0'] } };
    const { state, decision } = decide(at, without, 'sticky');
    expect(decision).toMatchObject({ action: 'reconcile', generation: 8 });
    expect(state.home).toBe('node2');
  });

  test('follows leadership that does not stay after returns', () => {
    let state = at;
    const actions = Array.from({ length: mostReturns + 1 }, () => {
      const next = decide(state, drifted, 'sticky');
      state = next.state;
      return next.decision.action;
    });
    expect(actions).toEqual([...Array.from({ length: mostReturns }, () => 'return'), 'reconcile']);
    expect(state).toMatchObject({ home: 'node2', generation: 8 });
    expect(decide(giveUpReturning(at), drifted, 'sticky').decision.action).toBe('reconcile');
  });
});

describe('maintenance', () => {
  test('a pause lasts until the keeper resumes, with its first time and reason', () => {
    const paused = pause(initialState, now, 'new disks');
    expect(phaseOf(paused)).toBe('paused');
    expect(pause(paused, '2026-02-02T00:00:00.000Z', 'another').paused).toEqual({
      since: now,
      reason: 'new disks',
    });
    expect(resume(paused)).toEqual(initialState);
  });

  test('the newest 50 events are kept, numbered without a gap', () => {
    let state = initialState;
    for (let count = 1; count <= 60; count++) state = note(state, 'done', `event ${count}`, now);
    expect(state.events).toHaveLength(50);
    expect(state.events[0]).toEqual({ seq: 60, at: now, kind: 'done', what: 'event 60' });
    expect(state.events.at(-1)?.seq).toBe(11);
  });

  test('a reconcile is described in a sentence', () => {
    expect(outcomeOf({ ...nothingDone, generation: 4 })).toBe('generation 4: no changes needed (0 ms)');
    const changes = [{ subject: 'h1', what: 'route of h1 set to node2' }];
    expect(outcomeOf({ ...nothingDone, changes, drifts: [silent], superseded: true })).toBe(
      'generation 3: route of h1 set to node2; remaining: the proxy on h2 does not respond; leadership has since moved (0 ms)',
    );
  });
});

describe('state transitions', () => {
  const before: KeeperState = { ...initialState, generation: 1, verdict };
  const without: ReconcileResult = {
    generation: 2,
    changes: [{ subject: 'h1', what: 'route of h1 set to node2' }],
    routes: { h1: { target: 'http://a', generation: 2 }, h2: { target: 'http://b', generation: 1 } },
    unreachable: [],
    drifts: [],
    superseded: false,
    routedAt: '2026-01-01T00:00:11.500Z',
    tookMs: { jupyter: 1, routes: 1, hosts: 1, others: 1, total: 4 },
  };
  const result: ReconcileResult = { ...without, jupyter: 'node2' };
  const moved: WatchEvent = {
    kind: 'verdict',
    reason: 'r',
    verdict: { ...verdict, leader: 'node2', term: 5 },
    since: now,
  };

  test('a leader change is an incident: from the last sign of the old leader to the routes', () => {
    const state = conclude(before, decide(before, moved).state, moved, result, now);
    expect(state).toMatchObject({ generation: 2, jupyter: 'node2', routes: result.routes });
    expect(state.incidents).toEqual([
      {
        at: now,
        what: 'node1 → node2, term 5: Jupyter responds on node2, through 1 host',
        tookMs: 1_500,
        routine: true,
      },
    ]);
  });

  test('so is one that took place while nobody watched, from when it was found', () => {
    const { since, ...unseen } = moved;
    expect(since).toBeDefined();
    const state = conclude(before, decide(before, unseen).state, unseen, result, now);
    expect(state.incidents).toMatchObject([
      { at: now, what: expect.stringContaining('node1 → node2') as string },
    ]);
  });

  test('a repair that changed something is an incident; the first start is not', () => {
    const drift: WatchEvent = { kind: 'drift', reason: 'no route', verdict, since: now, watchedMs: 5 };
    expect(conclude(before, before, drift, result, now).incidents).toMatchObject([
      { what: 'no route → route of h1 set to node2' },
    ]);
    const written = [{ subject: 'node1', what: 'hosts file of node1 written', routine: true as const }];
    expect(conclude(before, before, drift, result, now).incidents[0]).not.toHaveProperty('routine');
    expect(conclude(before, before, drift, { ...result, changes: written }, now).incidents).toMatchObject([
      { routine: true },
    ]);
    expect(conclude(before, before, drift, { ...result, changes: [] }, now).incidents).toEqual([]);
    expect(conclude(initialState, before, moved, result, now).incidents).toEqual([]);
  });

  test('a Jupyter that does not respond is not reported as serving', () => {
    const down: Drift = { kind: 'jupyter-down', subject: 'node2', what: 'Jupyter on node2 is starting' };
    const state = conclude(
      { ...before, jupyter: 'node1' },
      before,
      moved,
      { ...without, drifts: [down] },
      now,
    );
    expect(state).not.toHaveProperty('jupyter');
    expect(phaseOf(state)).toBe('degraded');
    expect(state.incidents[0]?.what).toContain('does not respond yet');
  });

  test('the newest 20 incidents are kept', () => {
    let state = before;
    for (let term = 5; term < 40; term++) {
      const event = { ...moved, verdict: { ...verdict, leader: `node${term % 2}`, term } };
      state = conclude(state, decide(state, event).state, event, result, now);
    }
    expect(state.incidents).toHaveLength(20);
    expect(state.incidents[0]?.what).toContain('term 39');
  });

  test('a generation already in use is skipped', () => {
    expect(adopt(before, 41).generation).toBe(42);
  });

  test('a failed reconcile is retried with growing pauses', () => {
    const once = concludeFailed(before, 'no space');
    const twice = concludeFailed(once, 'no space');
    expect(twice.drifts).toEqual([
      { kind: 'failed', subject: 'keeper', what: 'the last reconcile failed: no space' },
    ]);
    expect(twice.repairs).toBe(2);
    expect(notice({ verdict, drifts: twice.drifts, repairs: 2 }, sees({ watchedMs: 1_999 }))).toBeUndefined();
    expect(notice({ verdict, drifts: twice.drifts, repairs: 2 }, sees({ watchedMs: 2_000 }))?.kind).toBe(
      'drift',
    );
  });
});

test('a repair made elsewhere is an incident once, and the oldest are dropped', () => {
  const incident = { at: now, what: 'the log of a master was set aside', tookMs: 3_000 };
  const first = withIncident(initialState, incident);
  expect(first.incidents).toEqual([incident]);
  expect(withIncident(first, { ...incident })).toBe(first);
  const many = Array.from({ length: 40 }, (_, index) => ({ ...incident, what: `repair ${index}` }));
  const { incidents } = many.reduce(withIncident, first);
  expect([incidents.length, incidents[0]?.what]).toEqual([20, 'repair 39']);
});

describe('for every sequence of events', () => {
  const node = fc.constantFrom('node0', 'node1', 'node2');
  const anyVerdict = fc.record({
    leader: node,
    term: fc.integer({ min: 1, max: 9 }),
    live: fc.uniqueArray(node, { minLength: 1 }),
  });
  const anyDrift = fc.record({
    kind: fc.constantFrom<DriftKind>(
      'node-silent',
      'proxy-silent',
      'jupyter-down',
      'route',
      'hosts',
      'failed',
    ),
    subject: fc.constantFrom('h1', 'h2', 'node0', 'node1', 'keeper'),
    what: fc.constant('something'),
  });
  const anyObservation: fc.Arbitrary<WatchObservation> = fc.record(
    {
      finding: fc.oneof(
        fc.record({ kind: fc.constant('verdict' as const), verdict: anyVerdict }),
        fc.record({ kind: fc.constant('none' as const), reason: fc.constant('no quorum') }),
      ),
      settledLive: fc.uniqueArray(node, { minLength: 1 }),
      drifts: fc.array(anyDrift, { maxLength: 3 }),
      watchedMs: fc.nat(200_000),
      noneForMs: fc.nat(10_000),
      confirmedAt: fc.constant(now),
      now: fc.constant(now),
    },
    { requiredKeys: ['finding', 'watchedMs', 'noneForMs', 'now'] },
  );

  const run = (
    observations: readonly WatchObservation[],
    check: (before: KeeperState, observation: WatchObservation, event?: WatchEvent) => void,
  ) => {
    let state = initialState;
    for (const observation of observations) {
      const before = state;
      const event = notice(state, observation);
      if (event) state = decide(state, event).state;
      check(before, observation, event);
      expect(state.generation).toBeGreaterThanOrEqual(before.generation);
    }
    return state;
  };

  test('the generation never falls, and without a verdict nothing is done', () => {
    fc.assert(
      fc.property(fc.array(anyObservation, { maxLength: 30 }), (observations) => {
        run(observations, (before, observation, event) => {
          if (!event) return;
          const { state, decision } = decide(before, event);
          if (observation.finding.kind === 'none') {
            expect(decision.action).toBe('hold');
            expect(state.generation).toBe(before.generation);
            expect(state.verdict).toEqual(before.verdict);
          } else {
            expect(decision.action).toBe('reconcile');
            expect(state.generation).toBeGreaterThan(0);
          }
        });
      }),
    );
  });

  test('the generation rises exactly when the leader or the term changes', () => {
    fc.assert(
      fc.property(fc.array(anyObservation, { maxLength: 30 }), (observations) => {
        run(observations, (before, _observation, event) => {
          if (!event) return;
          const { state } = decide(before, event);
          const same =
            before.verdict?.leader === state.verdict?.leader && before.verdict?.term === state.verdict?.term;
          expect(state.generation - before.generation).toBe(same ? 0 : 1);
        });
      }),
    );
  });

  test('leftovers of a reconcile are not reported again before their pause, so history grows slowly', () => {
    fc.assert(
      fc.property(fc.array(anyDrift, { maxLength: 4 }), fc.integer({ min: 1, max: 12 }), (left, repairs) => {
        const known = { verdict, drifts: left, repairs };
        const at = (watchedMs: number) => notice(known, sees({ drifts: left, watchedMs }));
        expect(at(pauseMs(repairs) - 1)).toBeUndefined();
        const repairable = left.some(({ kind }) => !kind.endsWith('-silent'));
        expect(at(pauseMs(repairs)) !== undefined).toBe(repairable);
      }),
    );
  });
});
