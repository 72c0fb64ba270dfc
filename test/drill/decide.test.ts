import { describe, expect, it } from 'vitest';
import {
  conclude,
  expectedHosts,
  invariantsOf,
  joinSpans,
  joinWatched,
  missingRecovery,
  spansOf,
  type InvariantsObservation,
  type Sample,
  type View,
} from '../../src/drill/decide.js';
import { evidenceSchema } from '../../src/drill/evidence.js';
import { kindOf } from '../../src/drill/faults/index.js';
import type { DrillPlan } from '../../src/drill/model.js';
import { conclusionOf, drillPlan, healed, mesosObservation, recovery } from '../support/drill.js';

const every = (from: number, to: number, ok: boolean, why?: string): Sample[] =>
  Array.from({ length: (to - from) / 50 }, (_, index) => ({
    at: from + index * 50,
    ok,
    ...(why !== undefined && { why }),
  }));

describe('spans', () => {
  it('are runs of equal answers, in the order of the requests', () => {
    const samples = [
      ...every(1_000, 1_100, false, 'refused'),
      ...every(0, 1_000, true),
      ...every(1_100, 1_200, true),
    ];
    expect(spansOf(samples, 50)).toEqual([
      { from: 0, to: 1_000, state: 'ok', probes: 20 },
      { from: 1_000, to: 1_100, state: 'failed', probes: 2, why: 'refused' },
      { from: 1_100, to: 1_200, state: 'ok', probes: 2 },
    ]);
  });

  it('distinguish different kinds of failures', () => {
    const samples = [...every(0, 100, false, 'refused'), ...every(100, 200, false, 'answered 503')];
    expect(spansOf(samples, 50).map(({ why }) => why)).toEqual(['refused', 'answered 503']);
  });

  it('show a time without probes as a gap', () => {
    const spans = spansOf([...every(0, 100, true), ...every(6_000, 6_100, true)], 50);
    expect(spans.map(({ state, from, to }) => [state, from, to])).toEqual([
      ['ok', 0, 100],
      ['gap', 100, 6_000],
      ['ok', 6_000, 6_100],
    ]);
  });

  it('are joined where one probe continues another', () => {
    const [first, second, late] = [
      every(0, 100, true),
      every(100, 200, true),
      every(9_000, 9_100, false),
    ].map((samples) => spansOf(samples, 50));
    expect(joinSpans(first ?? [], second ?? [])).toEqual([{ from: 0, to: 200, state: 'ok', probes: 4 }]);
    expect(joinSpans(first ?? [], late ?? []).map(({ state }) => state)).toEqual(['ok', 'gap', 'failed']);
    expect(joinSpans([], second ?? [])).toEqual(second);
  });

  it('stay few, and keep every failure, however wildly a port flaps', () => {
    const samples = Array.from({ length: 20_000 }, (_, index) => ({ at: index * 50, ok: index % 2 === 0 }));
    const spans = spansOf(samples, 50);
    expect(spans.length).toBeLessThanOrEqual(300);
    expect(spans.some(({ state }) => state === 'failed')).toBe(true);
    expect(spans.reduce((sum, { probes }) => sum + probes, 0)).toBe(20_000);
    expect([spans[0]?.from, spans.at(-1)?.to]).toEqual([0, 1_000_000]);
  });
});

it('continues the timeline of a worker that died', () => {
  const earlier = { ...recovery(), faultAt: 101_000, kernel: 'k' };
  const later = {
    ...recovery(),
    startedAt: 110_000,
    lanes: [],
    events: [{ at: 111_000, kind: 'leader' as const, what: 'late' }],
  };
  const joined = joinWatched(earlier, later);
  expect(joined).toMatchObject({ startedAt: earlier.startedAt, faultAt: 101_000 });
  expect(joined.events.at(-1)?.what).toBe('late');
  expect(joinWatched(undefined, later)).toBe(later);
});

describe('missing recovery', () => {
  const plan = drillPlan();
  const good: View = {
    now: 110_000,
    faultAt: 101_000,
    answering: { h1: 105_000, h2: 105_000, h3: 105_000 },
    leader: { node: 'node1', term: 3 },
    serving: ['node1'],
    zookeeperLeader: 'h1',
    scheduler: '1@a',
    keeper: '2@a',
  };
  it.each<[string, Partial<View>, string | undefined]>([
    ['everything is back', {}, undefined],
    ['a fault may not show yet', { now: 102_000 }, 'the fault has only just been injected'],
    [
      'the old leader still leads',
      { leader: { node: 'node0', term: 2 } },
      'node0 still leads etcd at term 2',
    ],
    ['the old leader leads again', { leader: { node: 'node0', term: 4 }, serving: ['node0'] }, undefined],
    ['nothing serves', { serving: [] }, 'no Jupyter is serving'],
    ['two serve', { serving: ['node0', 'node1'] }, 'more than one Jupyter is serving: node0, node1'],
    ['it serves elsewhere', { serving: ['node2'] }, 'Jupyter serves on node2, but node1 leads'],
    ['a host does not respond', { answering: { h1: 1, h2: 1 } }, 'no steady responses through h3'],
    [
      'a host has only just returned',
      { answering: { h1: 1, h2: 1, h3: 109_800 } },
      'no steady responses through h3',
    ],
  ])('%s', (_, change, lack) => {
    expect(missingRecovery(plan, { ...good, ...change }, 'leader')).toBe(lack);
  });

  it('reports the lack of a leader', () => {
    const { now, faultAt, answering, serving } = good;
    expect(missingRecovery(plan, { now, faultAt, answering, serving }, 'leader')).toMatch(
      /no majority of etcd agrees on a leader/,
    );
  });

  it('accepts a sticky Jupyter away from the leader', () => {
    expect(missingRecovery(plan, { ...good, serving: ['node2'] }, 'sticky')).toBeUndefined();
  });

  it('requires another ZooKeeper leader, and live workers in the roles of the dead one', () => {
    const zookeeper = drillPlan({ expects: 'zookeeper-moves' });
    expect(missingRecovery(zookeeper, { ...good, zookeeperLeader: 'h2' }, 'leader')).toBe(
      'h2 still leads ZooKeeper',
    );
    expect(missingRecovery(zookeeper, good, 'leader')).toBeUndefined();
    const worker = drillPlan({ expects: 'worker-moves', fault: { kind: 'worker-kill', worker: '1@a' } });
    expect(missingRecovery(worker, good, 'leader')).toMatch(/scheduler/);
    expect(missingRecovery(worker, { ...good, scheduler: '3@a', keeper: '1@a' }, 'leader')).toMatch(/watch/);
    expect(missingRecovery(worker, { ...good, scheduler: '3@a' }, 'leader')).toBeUndefined();
  });

  it('requires another Mesos leader', () => {
    const plan = drillPlan({ expects: 'master-moves', target: 'h1', mayFail: 'none' });
    const drilled = { ...plan, before: { ...plan.before, mesos: mesosObservation('h1') } };
    expect(missingRecovery(drilled, good, 'leader')).toBe('Mesos has not been observed yet');
    expect(missingRecovery(drilled, { ...good, mesos: mesosObservation('h1') }, 'leader')).toBe(
      'h1 still leads Mesos',
    );
    expect(missingRecovery(drilled, { ...good, mesos: mesosObservation('h2') }, 'leader')).toBeUndefined();
  });

  it.each<DrillPlan['fault']>([
    { kind: 'host-crash', host: 'h3' },
    { kind: 'host-reboot', host: 'h3', init: { pid: 1, start: 7 } },
    { kind: 'partition', host: 'h3', id: 'p', device: 'eth0', forMs: 20_000 },
  ])('does not wait for a host that is down or cut off: $kind', (fault) => {
    const downHost = kindOf(fault).downHost?.(fault) ?? 'none';
    const plan = drillPlan({ fault, downHost, expects: 'jupyter-back' });
    expect(expectedHosts(plan)).toEqual(['h1', 'h2']);
    expect(missingRecovery(plan, { ...good, answering: { h1: 1, h2: 1 } }, 'leader')).toBeUndefined();
  });
});

describe('evidence', () => {
  it('measures from the fault, and passes within the budget', () => {
    const evidence = conclude(conclusionOf());
    expect(evidenceSchema.parse(evidence)).toEqual(evidence);
    expect(evidence.measures).toMatchObject({ electedMs: 500, readyMs: 800, recoveredMs: 1_000 });
    expect(evidence.measures.hosts[0]).toEqual({
      host: 'h1',
      failedRequests: 20,
      backMs: 1_000,
      longestMs: 1_000,
      cut: true,
    });
    expect(evidence.measures).toMatchObject({ healedMs: 4_000, wholeMs: 5_000 });
    expect(evidence.verdict).toEqual({ passed: true, reasons: [] });
  });

  it.each<[string, Parameters<typeof conclusionOf>[0], RegExp]>([
    ['over its budget', { plan: drillPlan({ budgetMs: 900 }) }, /took 1s, over the budget of 900ms/],
    ['not recovered', { recovery: { ...recovery(), recovered: false } }, /no recovery within 30s/],
    [
      'requests failed where none should',
      { plan: drillPlan({ mayFail: 'none' }) },
      /20 requests failed through h1/,
    ],
    [
      'the others failed too',
      { plan: drillPlan({ mayFail: 'target', struckHost: 'h1' }) },
      /^20 requests failed through h2, where none may fail/,
    ],
    [
      'the healing did harm',
      { healing: healed([{ from: 105_000, to: 105_100, state: 'failed', probes: 2 }]) },
      /2 requests failed through h1 after the recovery/,
    ],
    [
      'an invariant is broken',
      {
        healing: {
          ...healed(),
          invariants: [{ name: 'etcd', holds: false, what: 'etcd members are unhealthy: node2' }],
        },
      },
      /etcd members are unhealthy: node2/,
    ],
  ])('fails: %s', (_, change, reason) => {
    const { verdict } = conclude(conclusionOf(change));
    expect(verdict.passed).toBe(false);
    expect(verdict.reasons[0]).toMatch(reason);
  });

  it('does not count a host as recovered while the fault strikes again before healing', () => {
    const again = healed([
      { from: 102_000, to: 102_800, state: 'failed', probes: 16 },
      { from: 102_800, to: 106_000, state: 'ok', probes: 60 },
    ]);
    const { measures, verdict } = conclude(conclusionOf({ healing: again }));
    expect(measures).toMatchObject({ recoveredMs: 1_800, healedMs: 4_000 });
    expect(verdict.passed).toBe(true);
    const tooLate = conclude(conclusionOf({ healing: again, plan: drillPlan({ budgetMs: 1_500 }) }));
    expect(tooLate.verdict.reasons).toEqual(['recovery took 1.8s, over the budget of 1.5s']);
  });

  it('counts a request in flight when the fault came, and none before', () => {
    const lanes = recovery().lanes.map((lane) => ({
      ...lane,
      http: [
        { from: 95_000, to: 96_000, state: 'failed' as const, probes: 20 },
        { from: 96_000, to: 100_900, state: 'ok' as const, probes: 98 },
        { from: 100_900, to: 101_200, state: 'failed' as const, probes: 6 },
        { from: 101_200, to: 104_000, state: 'ok' as const, probes: 50 },
      ],
    }));
    const { measures } = conclude(conclusionOf({ recovery: { ...recovery(), lanes } }));
    expect(measures.hosts[0]).toMatchObject({ failedRequests: 6, backMs: 200, longestMs: 300 });
  });

  it('reports a host that did not return', () => {
    const lanes = recovery().lanes.map((lane) => ({ ...lane, http: lane.http.slice(0, 2) }));
    const { measures } = conclude(conclusionOf({ recovery: { ...recovery(), lanes, recovered: false } }));
    expect(measures).toMatchObject({ recoveredMs: null, hosts: [{ backMs: null }, {}, {}] });
  });
});

describe('the invariants', () => {
  const file = { path: 'a.ipynb', bytes: 10, modified: 100, sha256: 'a' };
  const marker = { path: 'marker.ipynb', bytes: 5, modified: 100, sha256: 'm' };
  const before = drillPlan({ notebooks: [file, marker], marker: 'marker.ipynb' });
  const whole: InvariantsObservation = {
    serving: ['node1'],
    routes: { h1: { generation: 4, node: 'node1' }, h2: { generation: 4, node: 'node1' } },
    etcd: {
      leader: 'node1',
      members: [
        { node: 'node0', healthy: true },
        { node: 'node1', healthy: true },
      ],
    },
    tasks: { node0: 1, node1: 1 },
    mesos: mesosObservation(),
    processes: { node0: ['h1'], node1: ['h2'] },
    notebooks: [file, marker],
  };
  const brick = (name: string, online: boolean, pending: number | null) => ({ brick: name, online, pending });
  const brokenOf = (change: Partial<InvariantsObservation>) =>
    invariantsOf({ ...whole, ...change }, before).filter(({ holds }) => !holds);

  it('all hold', () => {
    expect(brokenOf({})).toEqual([]);
    expect(invariantsOf(whole, before)).toHaveLength(6);
    expect(invariantsOf({ ...whole, bricks: [brick('a:/b', true, 0)] }, before).at(-1)).toMatchObject({
      name: 'storage',
      holds: true,
    });
  });

  it.each<[string, Partial<InvariantsObservation>, RegExp]>([
    ['nothing serves', { serving: [] }, /no Jupyter is serving/],
    ['two serve', { serving: ['node0', 'node1'] }, /2 Jupyters are serving: node0, node1/],
    ['a proxy is silent', { routes: { h1: null } }, /the route is unknown on h1/],
    [
      'generations differ',
      { routes: { h1: { generation: 4, node: 'node1' }, h2: { generation: 3, node: 'node1' } } },
      /different generations \(h1: 4, h2: 3\)/,
    ],
    ['a route has another target', { routes: { h1: { generation: 4, node: 'node0' } } }, /h1 to node0/],
    ['no leader', { etcd: { members: whole.etcd.members } }, /no majority of etcd/],
    [
      'a member is unhealthy',
      { etcd: { leader: 'node1', members: [{ node: 'node0', healthy: false }] } },
      /node0/,
    ],
    ['a node has two tasks', { tasks: { node0: 2, node1: 1 } }, /node0 2/],
    ['a node has no task', { tasks: { node0: 0, node1: 1 } }, /node0 0/],
    ['a node runs twice', { processes: { node0: ['h1', 'h2'], node1: ['h2'] } }, /node0 on h1 and h2/],
    ['a node runs nowhere', { processes: { node0: [], node1: ['h2'] } }, /node0 on no host/],
    ['a notebook is gone', { notebooks: [marker] }, /lost notebooks: a.ipynb/],
    [
      'a notebook is empty',
      { notebooks: [{ ...file, bytes: 0, sha256: 'e', modified: 200 }, marker] },
      /a.ipynb/,
    ],
    [
      'a notebook is an older version',
      { notebooks: [{ ...file, sha256: 'b', modified: 50 }, marker] },
      /a.ipynb/,
    ],
    ['the marker differs', { notebooks: [file, { ...marker, sha256: 'x', modified: 900 }] }, /marker.ipynb/],
    ['no host reports the volume', { bricks: [] }, /no host reports/],
    ['a brick is down', { bricks: [brick('a:/b', false, null), brick('c:/b', true, 0)] }, /down: a:\/b/],
    ['a brick has to heal', { bricks: [brick('a:/b', true, 3), brick('c:/b', true, 0)] }, /a:\/b 3$/],
  ])('not: %s', (_, change, what) => {
    const broken = brokenOf(change);
    expect(broken.map((each) => each.what).join()).toMatch(what);
  });

  it('fail for what cannot be observed', () => {
    const { serving, routes, etcd, processes } = whole;
    const blind = { serving, routes, etcd, ...(processes && { processes }) };
    const names = invariantsOf(blind, before).filter(({ holds }) => !holds);
    expect(names.map(({ name }) => name)).toEqual(['mesos', 'nodes', 'notebooks']);
  });

  it('include the tasks and the old master’s fate in drills of Mesos', () => {
    const suspended = { ...before, drill: 'master-suspend', expects: 'master-moves', target: 'h1' } as const;
    const plan = { ...suspended, before: { ...before.before, mesos: mesosObservation('h1') } };
    const after = {
      ...whole,
      mesos: mesosObservation('h2'),
      formerLeader: { ended: true, words: 'Lost leadership...' },
    };
    expect(invariantsOf(after, plan).map(({ name, holds }) => [name, holds])).toEqual(
      ['serving', 'routes', 'etcd', 'mesos', 'nodes', 'tasks', 'master', 'notebooks'].map((name) => [
        name,
        true,
      ]),
    );
  });

  it('accept a notebook that a user saved meanwhile', () => {
    expect(brokenOf({ notebooks: [{ ...file, sha256: 'b', modified: 200 }, marker] })).toEqual([]);
  });
});
