import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { DrillActivities } from '../../src/activities/drill.js';
import { evidenceSchema } from '../../src/drill/evidence.js';
import { PerijoveError } from '../../src/errors/error.js';
import {
  drillState,
  memoKeys,
  taskQueue,
  workflowIds,
  workflowNames,
  type DrillInput,
  type Evidence,
} from '../../src/temporal/contract.js';
import { drillPlan, healed, recovery } from '../support/drill.js';
import { record } from '../support/histories.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = fileURLToPath(new URL('../../src/workflows/drill.ts', import.meta.url));
const spec = makeSpec({ name: 'drilled' });

let server: TestServer;
let number = 0;
const workers: TestWorker[] = [];
let handle: WorkflowHandle<(input: DrillInput) => Promise<Evidence>>;

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterAll(() => server?.stop());
afterEach(async () => {
  await handle.terminate().catch(() => undefined);
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

/** The calls, in order. */
function script(calls: string[], instead: Partial<DrillActivities> = {}): DrillActivities {
  const noted = <I, R>(name: string, work: (input: I) => Promise<R>) => {
    return (input: I) => {
      calls.push(name);
      return work(input);
    };
  };
  return {
    prepareDrill: noted('prepare', instead.prepareDrill ?? (async () => drillPlan())),
    injectFault: noted('inject', instead.injectFault ?? (async () => recovery())),
    healFault: noted('heal', instead.healFault ?? (async () => healed())),
  };
}

async function work(activities: DrillActivities): Promise<TestWorker> {
  const worker = await createTestWorker({
    server,
    workflowsPath,
    activities: { checkIdentity: async () => ({ isMarked: true }), ...activities },
  });
  workers.push(worker);
  return worker;
}

async function start(): Promise<void> {
  number += 1;
  handle = await server.client.workflow.start(workflowNames.drill, {
    workflowId: workflowIds.drill(spec.name, number),
    taskQueue,
    args: [{ spec, number, drill: 'node-kill' }],
  });
}

const memo = async () => (await handle.describe()).memo?.[memoKeys.state];
const until = (assertion: () => void) => vi.waitFor(assertion, { timeout: 30_000, interval: 50 });

async function failure(): Promise<unknown> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (error instanceof WorkflowFailedError) return error.cause;
  throw new Error('the drill did not fail', { cause: error });
}

/** Ends only with its cancellation. */
async function untilCancelled(): Promise<never> {
  await sleep(3_600_000, undefined, { signal: Context.current().cancellationSignal });
  throw new Error('an hour has passed');
}

describe('a drill', { timeout: 60_000 }, () => {
  test('injects, heals, and leaves evidence that can be read without a worker', async () => {
    const calls: string[] = [];
    const worker = await work(script(calls));
    await start();
    const evidence = await handle.result();
    expect(calls).toEqual(['prepare', 'inject', 'heal']);
    expect(evidenceSchema.parse(evidence)).toMatchObject({
      number,
      drill: 'node-kill',
      target: 'node0',
      verdict: { passed: true },
      measures: { recoveredMs: 1_000 },
    });
    expect(await handle.query(drillState)).toMatchObject({ phase: 'passed', unhealed: false });
    await record(handle, 'drill-passed');
    workers.splice(0);
    await worker.stop();
    expect(await memo()).toMatchObject({ phase: 'passed', recoveredMs: 1_000 });
    expect(await handle.result()).toEqual(evidence);
  });

  test('of an unhealthy cluster is refused: nothing is injected, nothing is healed', async () => {
    const calls: string[] = [];
    const refusal = async () => {
      throw new PerijoveError('DRILL_UNHEALTHY', 'the cluster is not healthy: no Jupyter');
    };
    await work(script(calls, { prepareDrill: refusal }));
    await start();
    expect(await failure()).toMatchObject({ type: 'DRILL_UNHEALTHY' });
    expect(calls).toEqual(['prepare']);
    expect(await memo()).toMatchObject({
      phase: 'failed',
      unhealed: false,
      failure: { code: 'DRILL_UNHEALTHY' },
    });
    await record(handle, 'drill-refused');
  });

  test('heals what a failed injection may have done, and then fails', async () => {
    const calls: string[] = [];
    const injectFault = async () => {
      throw new PerijoveError('DRILL_NOT_POSSIBLE', 'no lab here');
    };
    await work(script(calls, { injectFault }));
    await start();
    expect(await failure()).toMatchObject({ type: 'DRILL_NOT_POSSIBLE' });
    expect(calls).toEqual(['prepare', 'inject', 'heal']);
    expect(await memo()).toMatchObject({ phase: 'failed', unhealed: false });
    await record(handle, 'drill-not-injected');
  });

  test('that is cancelled heals first, and ends as cancelled', async () => {
    const calls: string[] = [];
    await work(script(calls, { injectFault: untilCancelled }));
    await start();
    await until(() => expect(calls).toContain('inject'));
    expect(await memo()).toMatchObject({ phase: 'observing', unhealed: true });
    await handle.cancel();
    expect(await failure()).toBeInstanceOf(CancelledFailure);
    expect(calls).toEqual(['prepare', 'inject', 'heal']);
    expect(await memo()).toMatchObject({ phase: 'cancelled', unhealed: false });
    await record(handle, 'drill-cancelled');
  });

  test('continues elsewhere when the injecting worker is gone, and when the healing one is', async () => {
    const calls: string[] = [];
    const first = await work(script(calls, { injectFault: untilCancelled }));
    await start();
    await until(() => expect(calls).toContain('inject'));
    workers.splice(0);
    await first.stop();
    const second = await work(script(calls, { healFault: untilCancelled }));
    await until(() => expect(calls).toContain('heal'));
    workers.splice(0);
    await second.stop();
    await work(script(calls));
    expect(await handle.result()).toMatchObject({ verdict: { passed: true } });
    expect(calls).toEqual(['prepare', 'inject', 'inject', 'heal', 'heal']);
  });

  test('reports when it did not recover', async () => {
    await work(script([], { injectFault: async () => ({ ...recovery(), recovered: false }) }));
    await start();
    const { verdict } = await handle.result();
    expect(verdict).toEqual({ passed: false, reasons: ['no recovery within 30s'] });
    expect(await memo()).toMatchObject({ phase: 'failed', verdict });
  });
});
