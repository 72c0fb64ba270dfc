import { ApplicationFailure, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Activities } from '../../src/activities/index.js';
import { PerijoveError } from '../../src/errors/error.js';
import {
  taskQueue,
  workflowIds,
  workflowNames,
  type RecoveryInput,
  type RecoveryResult,
} from '../../src/temporal/contract.js';
import { record } from '../support/histories.js';
import { SimulatedCluster } from '../support/simulated-cluster.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => server?.stop());

const plan: RecoveryInput['plan'] = { epoch: 1, seed: 'node1', host: 'h2', from: 'data' };

/** Starts a recovery whose steps note their names in `calls`, and then do what `instead` does. */
async function recover(
  name: string,
  calls: string[],
  instead: Partial<Record<keyof Activities, () => void>> = {},
): Promise<WorkflowHandle<(input: RecoveryInput) => Promise<RecoveryResult>>> {
  const step =
    <T>(called: keyof Activities, answer: T) =>
    async (): Promise<T> => {
      calls.push(called);
      instead[called]?.();
      return answer;
    };
  const activities: Activities = {
    ...SimulatedCluster.deployed(makeSpec({ name })).activities(),
    confirmRecovery: step('confirmRecovery', undefined),
    beginEpoch: step('beginEpoch', undefined),
    awaitEpoch: step('awaitEpoch', { leader: 'node1' }),
    spreadEpoch: step('spreadEpoch', undefined),
    awaitMembers: step('awaitMembers', { leader: 'node1', members: ['node0', 'node1'], missing: ['node2'] }),
    noteRecovery: step('noteRecovery', undefined),
  };
  workers.push(await createTestWorker({ server, activities }));
  return server.client.workflow.start(workflowNames.recovery, {
    workflowId: workflowIds.recovery(name),
    taskQueue,
    args: [{ spec: makeSpec({ name }), plan, lost: [] }],
  });
}

const inOrder = [
  'confirmRecovery',
  'beginEpoch',
  'awaitEpoch',
  'spreadEpoch',
  'awaitMembers',
  'noteRecovery',
] as const;

it('begins the epoch with one node before the others hear of it', async () => {
  const calls: string[] = [];
  const handle = await recover('whole', calls);
  expect(await handle.result()).toEqual({
    epoch: 1,
    leader: 'node1',
    members: ['node0', 'node1'],
    missing: ['node2'],
  });
  expect(calls).toEqual(inOrder);
  await record(handle, 'recovery');
});

it('does nothing when what was confirmed no longer holds', async () => {
  const calls: string[] = [];
  const handle = await recover('refused', calls, {
    confirmRecovery: () => {
      throw new PerijoveError('ETCD_HAS_QUORUM', 'etcd has a quorum: node3 leads');
    },
  });
  const failure = await handle.result().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(WorkflowFailedError);
  expect((failure as WorkflowFailedError).cause).toBeInstanceOf(ApplicationFailure);
  expect((failure as WorkflowFailedError).cause).toMatchObject({ type: 'ETCD_HAS_QUORUM' });
  expect(calls).toEqual(['confirmRecovery']);
  await record(handle, 'recovery-refused');
});

it('repeats each step whose answer is lost, and nothing else', async () => {
  const calls: string[] = [];
  const lost = new Set<string>();
  const loses = (name: keyof Activities) => () => {
    if (lost.has(name)) return;
    lost.add(name);
    throw new PerijoveError('SSH_LOST', 'the answer was lost');
  };
  const handle = await recover(
    'lossy',
    calls,
    Object.fromEntries(inOrder.map((name) => [name, loses(name)])),
  );
  await handle.result();
  expect(calls).toEqual(inOrder.flatMap((name) => [name, name]));
});
