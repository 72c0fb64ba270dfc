import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { DrillActivities } from '../../src/activities/drill.js';
import type { Activities } from '../../src/activities/index.js';
import { followDrill, newestDrill, readDrill, startDrill } from '../../src/cli/drill-run.js';
import { reportOf } from '../../src/cli/report.js';
import type { DrillState } from '../../src/temporal/contract.js';
import { drillPlan, healed, recovery } from '../support/drill.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../../src/workflows/drill.ts', import.meta.url));

let server: TestServer;
let worker: TestWorker | undefined;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterAll(() => server?.stop());
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});

async function work(instead: Partial<DrillActivities> = {}): Promise<void> {
  const activities: DrillActivities & Pick<Activities, 'checkIdentity'> = {
    checkIdentity: async () => ({ isMarked: true }),
    prepareDrill: async () => drillPlan(),
    injectFault: async () => recovery(),
    healFault: async () => healed(),
    ...instead,
  };
  worker = await createTestWorker({ server, workflowsPath, activities });
}

function follower() {
  const phases: string[] = [];
  const events: string[] = [];
  const onState = ({ phase }: DrillState) => phases.push(phase);
  const onEvent = ({ what }: { readonly what: string }) => events.push(what);
  return { phases, events, onState, onEvent, onWait: () => undefined };
}

const code = async (refused: Promise<unknown>) =>
  reportOf(
    await refused.then(
      () => undefined,
      (error: unknown) => error,
    ),
  ).code;

it('numbers the drills of a cluster, and runs one at a time', async () => {
  const spec = makeSpec({ name: 'numbered' });
  let finish = () => {};
  const mayFinish = new Promise<void>((resolve) => (finish = resolve));
  await work({ healFault: () => mayFinish.then(() => healed()) });
  expect(await newestDrill(server.client, 'numbered')).toBe(0);

  const first = await startDrill(server.client, { spec, drill: 'node-kill' });
  expect(first.workflowId).toBe('drill:numbered/1');
  expect(await code(startDrill(server.client, { spec, drill: 'etcd-move' }))).toBe('DRILL_RUNNING');
  // Another cluster has its own drills.
  const other = await startDrill(server.client, { spec: makeSpec({ name: 'other' }), drill: 'node-kill' });
  expect(other.workflowId).toBe('drill:other/1');
  finish();
  await Promise.all([first.result(), other.result()]);

  const racing = await Promise.allSettled(
    [1, 2, 3].map(() => startDrill(server.client, { spec, drill: 'node-kill' })),
  );
  expect(racing.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await newestDrill(server.client, 'numbered')).toBe(2);
});

it('shows events, and reads the evidence', async () => {
  const spec = makeSpec({ name: 'shown' });
  await work({
    injectFault: async () => {
      const seen = recovery();
      await vi.waitFor(
        () => {
          Context.current().heartbeat(seen);
          expect(shown.events).not.toEqual([]);
        },
        { timeout: 20_000, interval: 200 },
      );
      return seen;
    },
  });
  const shown = follower();
  const handle = await startDrill(server.client, { spec, drill: 'node-kill' });
  const evidence = await followDrill(server.client, handle, shown, never);
  expect(shown.phases.at(-1)).toBe('passed');
  expect(shown.events).toContain('node1 leads etcd, term 3');
  expect(await readDrill(server.client, 'shown', 1)).toMatchObject({ evidence, ended: true });
  expect(await code(readDrill(server.client, 'shown', 2))).toBe('DRILL_UNKNOWN');
});

it('cancels the drill on interruption, and waits until it is healed', async () => {
  const spec = makeSpec({ name: 'interrupted' });
  const interrupt = new AbortController();
  let healings = 0;
  await work({
    injectFault: async () => {
      interrupt.abort();
      await sleep(3_600_000, undefined, { signal: Context.current().cancellationSignal });
      return recovery();
    },
    healFault: async () => {
      healings += 1;
      return healed();
    },
  });
  const handle = await startDrill(server.client, { spec, drill: 'node-kill' });
  expect(await code(followDrill(server.client, handle, follower(), interrupt.signal))).toBe('CANCELLED');
  expect(healings).toBe(1);
  expect((await readDrill(server.client, 'interrupted', 1)).state).toMatchObject({
    phase: 'cancelled',
    unhealed: false,
  });
});
