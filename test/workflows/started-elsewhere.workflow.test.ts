/** Workflows that something else than the command line starts: Temporal's own `temporal`, or any client. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { specDigest } from '../../src/cluster/digest.js';
import { loadSpec } from '../../src/cluster/load.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import {
  attachDeploy,
  configureKeeper,
  memoKeys,
  pauseKeeper,
  taskQueue,
  workflowIds,
  workflowNames,
  type DeployResult,
  type WorkflowName,
} from '../../src/temporal/contract.js';
import type { FailureDetails } from '../../src/temporal/failure.js';
import { findTemporal } from '../../src/temporal/server.js';
import { cli } from '../support/cli.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/histories.js';
import { SimulatedCluster } from '../support/simulated-cluster.js';
import { makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
let temporal: string;
let directory: string;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
  temporal = (await findTemporal()).executable;
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-elsewhere-'));
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true });
});

async function work(cluster: SimulatedCluster): Promise<void> {
  workers.push(await createTestWorker({ server, activities: cluster.activities() }));
}

/** The lab's example under another name, as a file and as it is read. */
async function specOf(name: string): Promise<{ readonly file: string; readonly spec: ClusterSpec }> {
  const file = path.join(directory, `${name}.yaml`);
  const text = await readFile('examples/lab.yaml', 'utf8');
  await writeFile(file, text.replace('name: lab', `name: ${name}`));
  return { file, spec: await loadSpec(file) };
}

async function printed(file: string, ...flags: readonly string[]): Promise<string> {
  const argv = ['up', file, '--print-start', '--temporal', server.address, ...flags];
  const { code, stdout, stderr } = await cli(argv, {
    cwd: directory,
    env: { XDG_STATE_HOME: path.join(directory, 'state'), HOME: directory },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** Runs a script in a shell whose `temporal` is that of the tests. */
async function shell(script: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const PATH = `${path.dirname(temporal)}${path.delimiter}${process.env['PATH'] ?? ''}`;
  const child = spawn('sh', ['-s'], { env: { PATH, HOME: directory }, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

const describeDeploy = (name: string): Promise<WorkflowExecutionDescription> =>
  server.client.workflow.getHandle(workflowIds.deploy(name)).describe();

/** What Temporal's Web UI shows as Current Details. */
async function currentDetails(workflowId: string): Promise<string> {
  const query = server.client.workflow.getHandle(workflowId).query('__temporal_workflow_metadata');
  const { currentDetails: details } = (await query) as { readonly currentDetails?: string };
  return details ?? '';
}

async function failureOf(type: WorkflowName, workflowId: string, args: readonly unknown[]) {
  const handle = await server.client.workflow.start(type, { workflowId, taskQueue, args: [...args] });
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError) || !(error.cause instanceof ApplicationFailure)) {
    throw new Error('the workflow did not fail', { cause: error });
  }
  const { type: code, message, nonRetryable, details } = error.cause;
  return { code, message, nonRetryable, details: details?.[0] as FailureDetails };
}

describe('a deployment', () => {
  it('is started by the printed call, and the workflow adds what the command line adds', async () => {
    const { file, spec } = await specOf('by-temporal');
    const cluster = SimulatedCluster.empty(spec);
    await work(cluster);
    const call = await printed(file);
    expect(call).toMatch(/^temporal workflow start \\\n {2}--address /);

    expect(await shell(call)).toMatchObject({ code: 0 });
    const handle = server.client.workflow.getHandle(workflowIds.deploy(spec.name));
    const result = (await handle.result()) as DeployResult;
    await record(handle, 'deploy-started-elsewhere');
    expect(result.changed).toBeGreaterThan(0);
    expect(cluster.calls).toContain('verifyNotebooks');

    const described = await describeDeploy(spec.name);
    expect(described.searchAttributes).toMatchObject({ PerijoveCluster: [spec.name] });
    expect(described.memo?.[memoKeys.state]).toMatchObject({ digest: specDigest(spec) });
    expect(await described.staticSummary()).toBe(`Deploy ${spec.name}`);
  });

  it('keeps its Current Details after its end', async () => {
    const { file, spec } = await specOf('detailed');
    await work(SimulatedCluster.empty(spec));
    await shell(await printed(file));
    await server.client.workflow.getHandle(workflowIds.deploy(spec.name)).result();
    expect(await currentDetails(workflowIds.deploy(spec.name))).toContain('| ✓ | verify |');
  });

  it('is attached to by `up` of the same spec, and by no other', async () => {
    const { file, spec } = await specOf('attached-to');
    const cluster = SimulatedCluster.empty(spec);
    let goOn = () => {};
    const held = new Promise<void>((resolve) => (goOn = resolve));
    cluster.before = (call) => (call === 'ensureSecrets' ? held : undefined);
    await work(cluster);
    await shell(await printed(file));
    const handle = server.client.workflow.getHandle(workflowIds.deploy(spec.name));
    await expect(handle.executeUpdate(attachDeploy, { args: [specDigest(spec)] })).resolves.toEqual({
      digest: specDigest(spec),
    });
    await expect(handle.executeUpdate(attachDeploy, { args: ['another'] })).rejects.toThrow(
      WorkflowUpdateFailedError,
    );
    goOn();
    await handle.result();
  });

  it('with quotes in its spec is quoted for the shell', async () => {
    const { file, spec } = await specOf('quoted');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^mesos:\n/m, 'mesos:\n  framework: it\'s "$HOME" `id`\n'));
    const script = (await printed(file)).replace(/^temporal workflow start/, 'printf "%s\\n"');
    const { output } = await shell(script);
    const input = JSON.parse(output.trim().split('\n').at(-1) ?? '') as { readonly spec: ClusterSpec };
    expect(input.spec.mesos.framework).toBe('it\'s "$HOME" `id`');
    expect(input.spec.name).toBe(spec.name);
  });

  it('is started by the printed program for the SDK', async () => {
    const { file, spec } = await specOf('by-sdk');
    await work(SimulatedCluster.empty(spec));
    const program = await printed(file, '--sdk');
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { cwd: process.cwd() },
    );
    expect(JSON.parse(stdout)).toMatchObject({ cluster: spec.name });
    expect((await describeDeploy(spec.name)).status.name).toBe('COMPLETED');
  });

  it('by another ID, as of a schedule, runs by a child with the ID of the cluster', async () => {
    const spec = makeSpec({ name: 'scheduled' });
    const cluster = SimulatedCluster.empty(spec);
    let goOn = () => {};
    const held = new Promise<void>((resolve) => (goOn = resolve));
    cluster.before = (call) => (call === 'ensureSecrets' ? held : undefined);
    await work(cluster);
    const start = (suffix: string) =>
      server.client.workflow.start(workflowNames.deploy, {
        workflowId: `${workflowIds.deploy(spec.name)}-${suffix}`,
        taskQueue,
        args: [{ spec }],
      });
    const first = await start('2026-12-01T03:00:00Z');
    await eventually(() => expect(cluster.calls).toContain('ensureSecrets'));
    expect((await describeDeploy(spec.name)).status.name).toBe('RUNNING');

    const second = await start('2026-12-01T04:00:00Z');
    await expect(second.result()).rejects.toMatchObject({ cause: { type: 'DEPLOY_RUNNING' } });
    goOn();
    await expect(first.result()).resolves.toMatchObject({ cluster: 'scheduled' });
    await record(first, 'deploy-by-its-id');
    expect((await describeDeploy(spec.name)).searchAttributes).toMatchObject({
      PerijoveCluster: ['scheduled'],
    });
  });

  it('fails over a spec that no cluster can have, with the code and the place', async () => {
    const spec = makeSpec({ name: 'meaningless', mesos: { quorum: 9 } });
    await work(SimulatedCluster.empty(spec));
    expect(await failureOf('deploy', workflowIds.deploy(spec.name), [{ spec }])).toMatchObject({
      code: 'SPEC_QUORUM',
      nonRetryable: true,
      details: { place: { subject: 'spec.mesos.quorum' } },
    });
  });
});

it.each(['framework', 'keeper'] as const)('each update of the %s has a description', async (type) => {
  const spec = makeSpec({ name: `described-${type}` });
  await work(SimulatedCluster.empty(spec));
  const workflowId = workflowIds[type](spec.name);
  const handle = await server.client.workflow.start(type, { workflowId, taskQueue, args: [{ spec }] });
  const { definition } = await handle.query<{
    readonly definition: {
      readonly updateDefinitions: readonly { readonly name: string; readonly description?: string }[];
    };
  }>('__temporal_workflow_metadata');
  const { updateDefinitions: updates } = definition;
  expect(updates.length).toBeGreaterThan(5);
  expect(updates.filter(({ name, description = name }) => description === name)).toEqual([]);
  await handle.terminate();
});

describe('a teardown', () => {
  it('without `purge` keeps data, and `perijove down` can attach to it', async () => {
    const spec = makeSpec({ name: 'down-elsewhere' });
    const cluster = SimulatedCluster.deployed(spec);
    await work(cluster);
    const handle = await server.client.workflow.start(workflowNames.teardown, {
      workflowId: workflowIds.teardown(spec.name),
      taskQueue,
      args: [{ spec }],
    });
    await handle.result();
    await record(handle, 'teardown-started-elsewhere');
    const { memo } = await handle.describe();
    expect(memo).toMatchObject({ [memoKeys.purge]: false });
    expect(await currentDetails(handle.workflowId)).toContain('removed services and programs');
  });
});

describe('invalid input', () => {
  const types: readonly WorkflowName[] = [
    'deploy',
    'host',
    'framework',
    'keeper',
    'teardown',
    'drill',
    'recovery',
  ];

  it.each(types)('%s without input fails once, with a code and the remedy', async (type) => {
    await work(SimulatedCluster.empty(makeSpec()));
    const failure = await failureOf(type, `${type}:nothing`, []);
    expect(failure).toMatchObject({ code: 'WORKFLOW_INPUT_INVALID', nonRetryable: true });
    expect(failure.message).toBe(`invalid input of ${type}: input: expected an object, found nothing`);
    expect(failure.details.remedy).toContain('perijove up --print-start');
  });

  it.each(types)('%s with a name alone names the first place that lacks something', async (type) => {
    await work(SimulatedCluster.empty(makeSpec()));
    const failure = await failureOf(type, `${type}:x`, [{ spec: { name: 'x' } }]);
    expect(failure).toMatchObject({
      code: 'WORKFLOW_INPUT_INVALID',
      nonRetryable: true,
      details: { place: { subject: 'spec.hosts' } },
    });
    expect(failure.message).toContain('spec.hosts: expected a list of at least 1, found nothing');
    expect(failure.details.problems?.map(({ message }) => message)).toContain(
      'spec.mesos: expected an object, found nothing',
    );
  });

  it('of an update is rejected, and the keeper runs on', async () => {
    const spec = makeSpec({ name: 'updated' });
    await work(SimulatedCluster.empty(spec));
    const handle = await server.client.workflow.start(workflowNames.keeper, {
      workflowId: workflowIds.keeper(spec.name),
      taskQueue,
      args: [{ spec }],
    });
    const asked = handle.executeUpdate<unknown, [unknown]>(configureKeeper.name, {
      args: [{ name: 'updated' }],
    });
    await expect(asked).rejects.toMatchObject({ cause: { type: 'WORKFLOW_INPUT_INVALID' } });
    await expect(handle.executeUpdate<unknown, []>(pauseKeeper.name)).resolves.toEqual({ changed: true });
    await handle.terminate();
  });
});
