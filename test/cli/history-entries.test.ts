import { describe, expect, it } from 'vitest';
import picocolors from 'picocolors';
import { defaultFailureConverter, defaultPayloadConverter } from '@temporalio/common';
import { entriesOfRuns, type RunRecord } from '../../src/cli/history-entries.js';
import { updatesIn, type ClusterHistory } from '../../src/cli/history-reading.js';
import { entryOfUpdate } from '../../src/cli/history-entries.js';
import { historyText } from '../../src/cli/history-text.js';
import { makeSpec } from '../support/spec.js';
import { recorded } from '../support/histories.js';

const spec = makeSpec({ name: 'audited' });
const run = (at: number, part: Partial<RunRecord>): RunRecord => ({
  workflow: 'deploy',
  workflowId: 'deploy:audited',
  runId: `run${at}`,
  startedAt: `2026-01-01T00:0${at}:00.000Z`,
  endedAt: `2026-01-01T00:0${at}:30.000Z`,
  who: 'anna@laptop',
  outcome: 'done',
  failure: null,
  input: { spec },
  state: undefined,
  rotates: undefined,
  result: undefined,
  ...part,
});

describe('entriesOfRuns', () => {
  it('compares each deployment with the one before, whatever order they come in', () => {
    const more = { ...spec, nodes: { ...spec.nodes, count: spec.nodes.count + 2 } };
    const result = {
      stages: [
        { name: 'framework', changed: 2, ms: 1 },
        { name: 'verify', changed: 0, ms: 1 },
      ],
    };
    const entries = entriesOfRuns([
      run(1, {}),
      run(3, { input: { spec: more }, result }),
      run(2, { workflow: 'teardown', workflowId: 'teardown:audited', input: { spec, purge: true } }),
    ]);
    expect(entries.map(({ kind, what }) => [kind, what])).toEqual([
      ['deployment', '2 changes'],
      ['teardown', 'the whole cluster, with its data'],
      ['deployment', 'changes unknown'],
    ]);
    expect(entries[0]).toMatchObject({
      at: '2026-01-01T00:03:00.000Z',
      who: 'anna@laptop',
      changes: [`spec: nodes.count: ${spec.nodes.count} → ${spec.nodes.count + 2}`, 'framework: 2 changes'],
      outcome: 'done',
      tookMs: 30_000,
      workflowId: 'deploy:audited',
      runId: 'run3',
      updateId: null,
    });
  });

  it('takes what a failed deployment changed from its memo, and names the secrets of a rotation', () => {
    const failure = { code: 'DISK_FULL', message: 'h1 is full' };
    const state = { stages: [{ name: 'secrets', changed: 1 }] };
    const [entry] = entriesOfRuns([
      run(1, { state, failure, outcome: 'failed', rotates: ['etcd-authority'] }),
    ]);
    expect(entry).toMatchObject({
      kind: 'rotation',
      what: 'etcd-authority: 1 change',
      changes: ['secrets: 1 change'],
      outcome: 'failed',
      error: failure,
    });
  });

  it('counts a drill that exceeded its budget as failed, though its workflow completed', () => {
    const state = {
      drill: 'node-kill',
      target: 'node2',
      recoveredMs: 9_000,
      verdict: { passed: false, reasons: ['late'] },
    };
    const [entry] = entriesOfRuns([run(1, { workflow: 'drill', state })]);
    expect(entry).toMatchObject({
      kind: 'drill',
      what: 'node-kill on node2, recovered in 9s',
      outcome: 'failed',
      error: { code: null, message: 'late' },
    });
  });

  it('invents nothing where payloads cannot be decrypted', () => {
    const [deployment, drill] = entriesOfRuns([
      run(2, { input: undefined }),
      run(1, { workflow: 'drill', input: undefined }),
    ]);
    expect(deployment).toMatchObject({ what: 'changes unknown', changes: [] });
    expect(drill).toMatchObject({ what: 'drill unknown', outcome: 'done' });
  });
});

describe('updates of recorded histories', () => {
  const converter = {
    payloadConverter: defaultPayloadConverter,
    failureConverter: defaultFailureConverter,
    payloadCodecs: [],
  };

  async function entriesOf(name: string) {
    const { events } = await recorded(name);
    const count = { unreadable: 0 };
    const updates = await updatesIn({ converter, count }, { workflowId: 'w', runId: 'r' }, events ?? []);
    expect(count).toEqual({ unreadable: 0 });
    return updates.map(entryOfUpdate);
  }

  it.each([
    ['keeper-moved', 'move', 'done', /^Jupyter (from node\d to node\d|was on node\d already)$/],
    ['keeper-move-failed', 'move', 'failed', /^Jupyter to node\d$/],
    ['keeper-paused', 'pause', 'done', /^the keeper/],
    ['keeper-paused', 'resume', 'done', /^the keeper$/],
    ['framework-fenced', 'fence', 'done', /^h\d, which had node\d/],
    ['framework-forgot-a-host', 'forget', 'done', /^h\d/],
  ] as const)('of %s: %s', async (name, kind, outcome, what) => {
    const found = (await entriesOf(name)).filter((entry) => entry?.kind === kind);
    expect(found.length).toBeGreaterThan(0);
    for (const entry of found) {
      expect(entry).toMatchObject({ outcome, workflowId: 'w', runId: 'r', who: null });
      expect(entry?.what).toMatch(what);
      expect(entry?.tookMs).toBeGreaterThanOrEqual(0);
    }
  });

  it('have the code of a failure', async () => {
    const [entry] = await entriesOf('keeper-move-failed');
    expect(entry?.error?.code).toBe('MOVE_FAILED');
  });
});

describe('historyText', () => {
  const [entry] = entriesOfRuns([
    run(1, { failure: { code: 'DISK_FULL', message: 'h1 is full' }, outcome: 'failed' }),
  ]);
  const history: ClusterHistory = {
    cluster: 'audited',
    entries: entry ? [entry] : [],
    retentionMs: 86_400_000,
    keptSince: '2025-12-31T12:00:00.000Z',
    read: { workflows: 1, events: 9, skippedRuns: false, unreadable: 0 },
  };
  const text = (part: Partial<ClusterHistory>) =>
    historyText({ ...history, ...part }, picocolors.createColors(false), 100);

  it('tells when, what, who, how it ended and where, and how much was read', () => {
    expect(text({})).toBe(
      [
        '2026-01-01 00:01:00Z  deployment  changes unknown, by anna@laptop: failed after 30s',
        '    h1 is full (DISK_FULL)',
        '    deploy:audited, run run1',
        'Temporal keeps workflows for 24h after their end: what ended before 2025-12-31 12:00:00Z is gone.',
        'Read 9 events of 1 workflow.',
        '',
      ].join('\n'),
    );
  });

  it('says what was not read', () => {
    const read = { workflows: 50, events: 9, skippedRuns: true, unreadable: 2 };
    const all = text({ entries: [], retentionMs: null, keptSince: null, read });
    expect(all).toContain('Temporal keeps no operation on audited.');
    expect(all).toContain('How long Temporal keeps what has ended is unknown.');
    expect(all).toContain('Older runs of the keeper or the framework were not read.');
    expect(all).toContain('2 payloads could not be decrypted');
  });
});
