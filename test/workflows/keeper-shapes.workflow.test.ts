/** Rare paths of the keeper's workflow: its activities follow a script here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import type { ReconcileResult, WatchEvent } from '../../src/keeper/decide.js';
import type { Drift } from '../../src/keeper/state.js';
import type { LeadershipInput, LeadershipOutcome } from '../../src/keeper/leadership.js';
import type { ReconcileInput } from '../../src/keeper/reconciler.js';
import type { WatchInput } from '../../src/keeper/watch.js';
import {
  configureKeeper,
  keeperState,
  memoKeys,
  moveJupyter,
  noteIncident,
  pauseKeeper,
  resumeKeeper,
  stopKeeper,
  taskQueue,
  workflowIds,
  workflowNames,
  type KeeperInput,
} from '../../src/temporal/contract.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../../src/workflows/keeper.ts', import.meta.url));
const spec = makeSpec({ name: 'shapes', nodes: { count: 3 } });
const workflowId = workflowIds.keeper(spec.name);

let server: TestServer;
let worker: TestWorker | undefined;
let handle: WorkflowHandle;

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterAll(() => server?.stop());
afterEach(async () => {
  await handle.terminate().catch(() => undefined);
  await worker?.stop();
  worker = undefined;
});

interface Script {
  watchCluster(input: WatchInput): Promise<WatchEvent>;
  reconcileCluster(input: ReconcileInput): Promise<ReconcileResult>;
  moveLeadership?(input: LeadershipInput): Promise<LeadershipOutcome>;
}

async function start(script: Script, follow: 'leader' | 'sticky' = 'leader'): Promise<void> {
  worker = await createTestWorker({ server, workflowsPath, activities: { ...script } });
  const input: KeeperInput = { spec: { ...spec, jupyter: { ...spec.jupyter, follow } } };
  handle = await server.client.workflow.start(workflowNames.keeper, { workflowId, taskQueue, args: [input] });
}

const verdict = { leader: 'node1', term: 2, live: ['node1', 'node0', 'node2'] };
const firstVerdict: WatchEvent = { kind: 'verdict', reason: 'node1 leads', verdict };
const done = ({ generation, verdict: { leader } }: ReconcileInput): ReconcileResult => ({
  generation,
  changes: [],
  jupyter: leader,
  routes: {},
  unreachable: [],
  drifts: [],
  superseded: false,
  tookMs: { jupyter: 0, routes: 0, hosts: 0, others: 0, total: 0 },
});
/** Ends only with its cancellation. */
const untilCancelled = async (): Promise<never> => {
  const { cancellationSignal: signal } = Context.current();
  await sleep(3_600_000, undefined, { signal });
  throw new Error('an hour has passed');
};
const state = () => handle.query(keeperState);

describe('the keeper', { timeout: 60_000 }, () => {
  test('continues when a reconcile gives up, and retries it after a pause', async () => {
    let reconciles = 0;
    await start({
      watchCluster: async ({ known }) => {
        if (!known.verdict) return firstVerdict;
        const [drift] = known.drifts;
        if (!drift) return untilCancelled();
        const since = new Date().toISOString();
        return { kind: 'drift', reason: drift.what, verdict, since, watchedMs: 0 };
      },
      reconcileCluster: async (input) => {
        reconciles += 1;
        if (reconciles === 1) throw new PerijoveError('SPEC_INVALID', 'this will never do');
        return done(input);
      },
    });
    await eventually(async () => (await state()).jupyter === 'node1');
    expect(await state()).toMatchObject({ generation: 1, drifts: [] });
    expect(reconciles).toBe(2);
    await record(handle, 'keeper-reconcile-gave-up');
  });

  test('another spec ends the current reconcile before the next one begins', async () => {
    const log: string[] = [];
    const other = { ...spec, jupyter: { ...spec.jupyter, port: 9999 } };
    await start({
      watchCluster: async ({ spec: { jupyter }, known }) => {
        if (!known.verdict) return firstVerdict;
        if (!known.specChanged) return untilCancelled();
        const reason = `the spec has changed: ${jupyter.port}`;
        return { kind: 'drift', reason, verdict, since: new Date().toISOString(), watchedMs: 0 };
      },
      reconcileCluster: async (input) => {
        const { port } = input.spec.jupyter;
        log.push(`begin ${port}`);
        if (port === 9999) return done(input);
        try {
          return await untilCancelled();
        } finally {
          await sleep(500);
          log.push(`end ${port}`);
        }
      },
    });
    await eventually(() => log.length === 1);
    expect(await handle.executeUpdate(configureKeeper, { args: [other] })).toEqual({ changed: true });
    await eventually(async () => (await state()).jupyter === 'node1');
    expect(log).toEqual(['begin 8888', 'end 8888', 'begin 9999']);
    expect(await state()).not.toHaveProperty('specChanged');
    await record(handle, 'keeper-configured-while-reconciling');
  });

  test('stops in the middle of a reconcile', async () => {
    let ended = false;
    let began = false;
    await start({
      watchCluster: async () => firstVerdict,
      reconcileCluster: async () => {
        began = true;
        try {
          return await untilCancelled();
        } finally {
          ended = true;
        }
      },
    });
    await eventually(() => began);
    await handle.executeUpdate(stopKeeper);
    await handle.result();
    expect(ended).toBe(true);
    await record(handle, 'keeper-stopped-while-reconciling');
  });

  // The workflow task that ends it is refused then, and the update with it.
  test('stops in the middle of a planned move, and watches nothing more', async () => {
    let watches = 0;
    let moving = false;
    await start({
      watchCluster: async ({ known }) => {
        watches += 1;
        return known.verdict ? untilCancelled() : firstVerdict;
      },
      reconcileCluster: async (input) => done(input),
      moveLeadership: async () => {
        moving = true;
        return untilCancelled();
      },
    });
    await eventually(async () => (await state()).jupyter === 'node1');
    const moved = handle.executeUpdate(moveJupyter, { args: ['node0'] }).catch((error: unknown) => error);
    await eventually(() => moving);
    const before = watches;
    await handle.executeUpdate(stopKeeper);
    await handle.result();
    expect(watches).toBe(before);
    expect(await moved).toBeInstanceOf(WorkflowUpdateFailedError);
  });

  test('stops even if its watch ends at that very moment', async () => {
    worker = await createTestWorker({
      server,
      workflowsPath,
      activities: {
        watchCluster: async ({ known }: WatchInput): Promise<WatchEvent> => {
          if (!known.verdict) return firstVerdict;
          await sleep(50);
          return { kind: 'drift', reason: 'again', verdict, since: new Date().toISOString(), watchedMs: 0 };
        },
        reconcileCluster: async (input: ReconcileInput) => done(input),
      } satisfies Script,
    });
    const stopped = Array.from({ length: 12 }, async (_, index) => {
      const name = `shapes-${index}`;
      handle = await server.client.workflow.start(workflowNames.keeper, {
        workflowId: workflowIds.keeper(name),
        taskQueue,
        args: [{ spec: { ...spec, name } } satisfies KeeperInput],
      });
      const keeper = handle;
      await eventually(async () => (await keeper.query(keeperState)).jupyter === 'node1');
      await keeper.executeUpdate(stopKeeper);
      await keeper.result();
    });
    await Promise.all(stopped);
  });

  test('records an incident that another part reports, once', async () => {
    await start({
      watchCluster: async ({ known }) => (known.verdict ? untilCancelled() : firstVerdict),
      reconcileCluster: async (input) => done(input),
    });
    await eventually(async () => (await state()).jupyter === 'node1');
    const incident = {
      at: '2026-01-02T03:04:05.000Z',
      what: 'set the log of the master on h1 aside',
      tookMs: 7,
    };
    await handle.executeUpdate(noteIncident, { args: [incident] });
    await handle.executeUpdate(noteIncident, { args: [incident] });
    const { incidents, events } = await state();
    expect(incidents.filter(({ what }) => what === incident.what)).toEqual([incident]);
    expect(events.filter(({ what }) => what === incident.what)).toHaveLength(1);
    await handle.executeUpdate(stopKeeper);
    await record(handle, 'keeper-noted');
  });

  test('takes over higher generations one after the other, and only a few in one go', async () => {
    const generations: number[] = [];
    await start({
      watchCluster: async ({ known }) => (known.verdict ? untilCancelled() : firstVerdict),
      reconcileCluster: async (input) => {
        generations.push(input.generation);
        return { ...done(input), stale: input.generation + 9 };
      },
    });
    await eventually(async () => (await state()).jupyter === 'node1');
    expect(generations).toEqual([1, 11, 21, 31, 41, 51]);
    await record(handle, 'keeper-adopted');
  });

  describe('that follows an election', () => {
    const live = ['node0', 'node1', 'node2'];

    /** etcd as the keeper sees it: who leads, and moves of leadership. */
    class Election {
      leader = 'node1';
      term = 2;
      readonly orders: LeadershipInput[] = [];
      outcome: LeadershipOutcome = { led: true };
      /** Where leadership moves as soon as it was moved. */
      restless: string | undefined;

      async watch({ known }: WatchInput): Promise<WatchEvent> {
        const { cancellationSignal: signal } = Context.current();
        while (known.verdict?.term === this.term) await sleep(20, undefined, { signal });
        const { leader, term } = this;
        return {
          kind: 'verdict',
          reason: `${leader} leads at term ${term}`,
          verdict: { leader, term, live },
        };
      }

      async move(input: LeadershipInput): Promise<LeadershipOutcome> {
        this.orders.push(input);
        if (this.outcome.led) this.elect(input.to);
        if (this.restless !== undefined) this.elect(this.restless);
        return this.outcome;
      }

      elect(leader: string): void {
        this.leader = leader;
        this.term += 1;
      }
    }

    const begin = async (follow?: 'sticky') => {
      const election = new Election();
      const activities = {
        watchCluster: (input: WatchInput) => election.watch(input),
        reconcileCluster: async (input: ReconcileInput) => done(input),
        moveLeadership: (input: LeadershipInput) => election.move(input),
      };
      await start(activities, follow);
      await eventually(async () => (await state()).jupyter === 'node1');
      return election;
    };

    test('moves as planned, and responds when the routes lead there', async () => {
      const election = await begin();
      const result = await handle.executeUpdate(moveJupyter, { args: ['node2'] });
      expect(result).toMatchObject({ moved: true, from: 'node1', to: 'node2', generation: 2 });
      expect(election.orders).toMatchObject([{ to: 'node2', prepare: true, verdict: { leader: 'node1' } }]);
      expect(await state()).toMatchObject({ jupyter: 'node2', generation: 2 });
      expect((await state()).events[0]).toMatchObject({ kind: 'moved' });
      expect(await handle.executeUpdate(moveJupyter, { args: ['node2'] })).toMatchObject({ moved: false });
      await record(handle, 'keeper-moved');
    });

    test('waits for a Jupyter that responds late to a move', async () => {
      const election = new Election();
      let late = 2;
      const silent: Drift = { kind: 'node-silent', subject: 'node2', what: 'node2 does not respond' };
      await start({
        watchCluster: async (input) => {
          const { drifts, verdict: now } = input.known;
          if (drifts.length === 0 || now === undefined) return election.watch(input);
          const since = new Date().toISOString();
          return { kind: 'drift', reason: 'resolved', verdict: now, since, watchedMs: 0 };
        },
        reconcileCluster: async (input) => {
          const { jupyter, ...others } = done(input);
          if (jupyter !== 'node2' || late === 0) return done(input);
          late -= 1;
          return { ...others, drifts: [silent] };
        },
        moveLeadership: (input) => election.move(input),
      });
      await eventually(async () => (await state()).jupyter === 'node1');
      const result = await handle.executeUpdate(moveJupyter, { args: ['node2'] });
      expect(result).toMatchObject({ moved: true, from: 'node1', to: 'node2' });
      expect(late).toBe(0);
      expect(await state()).toMatchObject({ jupyter: 'node2', drifts: [] });
      await record(handle, 'keeper-move-awaited-jupyter');
    });

    test('refuses an unknown node, and reports why a move failed', async () => {
      const election = await begin();
      const move = (node: string) => handle.executeUpdate(moveJupyter, { args: [node] });
      await expect(move('node9')).rejects.toMatchObject({ cause: { type: 'NODE_UNKNOWN' } });
      election.outcome = { led: false, reason: 'Jupyter on node2 is starting' };
      await expect(move('node2')).rejects.toMatchObject({
        cause: {
          type: 'MOVE_FAILED',
          message: 'Jupyter was not moved to node2: Jupyter on node2 is starting',
        },
      });
      election.outcome = { led: true };
      election.restless = 'node0';
      await expect(move('node2')).rejects.toMatchObject({
        cause: { type: 'MOVE_FAILED', message: 'leadership moved on to node0' },
      });
      expect(await state()).toMatchObject({ verdict: { leader: 'node0' }, jupyter: 'node0' });
      await record(handle, 'keeper-move-failed');
    });

    test('a sticky Jupyter stays where it was moved to, and leadership is brought back', async () => {
      const election = await begin('sticky');
      await handle.executeUpdate(moveJupyter, { args: ['node2'] });
      for (let drift = 0; drift < 3; drift += 1) {
        const { generation } = await state();
        election.elect('node0');
        const { term } = election;
        await eventually(async () => (await state()).generation > generation);
        expect(election.term).toBe(term + 1);
        expect(await state()).toMatchObject({ jupyter: 'node2', home: 'node2' });
      }
      expect(election.orders.slice(1).map(({ to, prepare }) => ({ to, prepare }))).toEqual(
        Array.from({ length: 3 }, () => ({ to: 'node2', prepare: false })),
      );
      await record(handle, 'keeper-sticky');
    });

    test('moves and repairs nothing while it is paused, and catches up afterwards', async () => {
      const election = await begin();
      expect(await handle.executeUpdate(pauseKeeper, { args: [{ reason: 'new disks' }] })).toEqual({
        changed: true,
      });
      expect(await handle.executeUpdate(pauseKeeper, { args: [{}] })).toEqual({ changed: false });
      expect(await state()).toMatchObject({ paused: { reason: 'new disks' } });
      await expect(handle.executeUpdate(moveJupyter, { args: ['node2'] })).rejects.toMatchObject({
        cause: { type: 'KEEPER_PAUSED' },
      });
      // The watch knows that it is over, and the workflow knows that the watch is.
      await eventually(async () => {
        const { raw } = await handle.describe();
        return raw.pendingActivities?.length === 0 && !raw.pendingWorkflowTask;
      });
      election.elect('node0');
      const { historyLength } = await handle.describe();
      await sleep(500);
      expect((await handle.describe()).historyLength).toBe(historyLength);
      expect((await state()).jupyter).toBe('node1');
      expect(await handle.executeUpdate(resumeKeeper)).toEqual({ changed: true });
      await eventually(async () => (await state()).jupyter === 'node0');
      expect(await handle.executeUpdate(resumeKeeper)).toEqual({ changed: false });
      await handle.executeUpdate(stopKeeper);
      await handle.result();
      await record(handle, 'keeper-paused');
    });
  });

  test('starts a new history when its own is long, and keeps its state', { timeout: 180_000 }, async () => {
    let term = 1;
    let runs = new Set<string>();
    await start({
      watchCluster: async ({ known }) => {
        runs = runs.add(Context.current().info.workflowExecution?.runId ?? '');
        if (runs.size === 2) return untilCancelled();
        term += 1;
        const reason = `term ${term}`;
        const leader = `node${term % 3}`;
        const since = known.verdict ? { since: new Date().toISOString() } : {};
        return { kind: 'verdict', reason, verdict: { leader, term, live: [leader] }, ...since };
      },
      reconcileCluster: async (input) => done(input),
    });
    await eventually(() => runs.size === 2, 150_000);
    const now = await server.client.workflow.getHandle(workflowId).query(keeperState);
    expect(now).toMatchObject({ generation: term - 1, verdict: { term }, jupyter: `node${term % 3}` });
    expect(now.incidents).toHaveLength(20);
    const { memo } = await server.client.workflow.getHandle(workflowId).describe();
    expect(memo?.[memoKeys.state]).toMatchObject({ generation: term - 1 });
    await record(server.client.workflow.getHandle(workflowId), 'keeper-continued');
  });
});
