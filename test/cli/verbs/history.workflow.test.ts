import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClusterHistory } from '../../../src/cli/history-reading.js';
import { startDeploy } from '../../../src/cli/deploy.js';
import { loadSpec } from '../../../src/cluster/load.js';
import type { ClusterSpec } from '../../../src/cluster/spec.js';
import {
  cordonHost,
  renewFramework,
  taskQueue,
  uncordonHost,
  workflowIds,
  workflowNames,
} from '../../../src/temporal/contract.js';
import { cli } from '../../support/cli.js';
import { eventually } from '../../support/eventually.js';
import {
  createTestWorker,
  startTestServer,
  type TestServer,
  type TestWorker,
} from '../../support/temporal.js';

const operator = `${os.userInfo().username}@${os.hostname()}`;
let server: TestServer;
let worker: TestWorker;
let directory: string;
let file: string;
let spec: ClusterSpec;

const activities = { runScheduler: () => Context.current().cancelled };

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-cli-'));
  file = path.join(directory, 'cluster.yaml');
  await writeFile(file, await readFile('examples/lab.yaml', 'utf8'));
  spec = await loadSpec(file);
  server = await startTestServer();
  const workflowsPath = fileURLToPath(new URL('../history.workflows.ts', import.meta.url));
  worker = await createTestWorker({ server, activities, workflowsPath });
});
afterAll(async () => {
  await worker?.stop().catch(() => undefined);
  await server?.stop();
  await rm(directory, { recursive: true });
});

const history = (...words: string[]) =>
  cli(['history', ...words, '--file', file, '--temporal', server.address]);

async function read(...words: string[]): Promise<ClusterHistory> {
  const { stdout, stderr } = await history('--json', ...words);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as ClusterHistory;
}

/** Closes a host, has the framework continue as a new run, and opens the host again. */
async function operateFramework(): Promise<void> {
  const workflowId = workflowIds.framework(spec.name);
  const { workflow } = server.client;
  const first = await workflow.start(workflowNames.framework, { workflowId, taskQueue, args: [{ spec }] });
  await first.executeUpdate(cordonHost, { args: ['h2'] });
  await first.executeUpdate(renewFramework);
  const handle = workflow.getHandle(workflowId);
  await eventually(async () => (await handle.describe()).runId !== first.firstExecutionRunId);
  await handle.executeUpdate(uncordonHost, { args: ['h2'] });
}

async function deployed(next: ClusterSpec, rotates?: readonly string[]): Promise<void> {
  const { signal } = new AbortController();
  const options = { signal, onWait: () => undefined, ...(rotates && { rotates }) };
  const { workflowId } = await startDeploy(server.client, next, options);
  await server.client.workflow.getHandle(workflowId).result();
}

/** In the order in which they are called. */
async function operate(): Promise<void> {
  await operateFramework();
  await deployed(spec);
  await deployed({ ...spec, nodes: { ...spec.nodes, count: 3 } }, ['etcd-authority']);
  const { workflow } = server.client;
  await workflow.execute('scheduled', { workflowId: 'nightly', taskQueue, args: [{ spec }] });
  const workflowId = workflowIds.deploy(spec.name);
  const last = await workflow.start('deploy', { workflowId, taskQueue, args: [{ spec, digest: 'never' }] });
  await last.terminate('wrong spec');
}

it(
  'lists past operations and who started them, across runs and without a worker',
  { timeout: 120_000 },
  async () => {
    await operate();
    await worker.stop();
    const complete = await eventually(async () => {
      const found = await read();
      expect(found.entries).toHaveLength(6);
      expect(found.entries.every(({ outcome }) => outcome !== 'running')).toBe(true);
      return found;
    });

    expect(complete.entries.map(({ kind, what }) => `${kind}: ${what}`)).toEqual([
      'deployment: changes unknown',
      `deployment: ${spec.nodes.count} changes`,
      'rotation: etcd-authority: 3 changes',
      `deployment: ${spec.nodes.count} changes`,
      'uncordon: h2',
      'drain: h2',
    ]);
    const [last, nightly, rotation] = complete.entries;
    expect(last).toMatchObject({ outcome: 'terminated', error: { message: `by ${operator}: wrong spec` } });
    expect(nightly?.changes).toContain(`spec: nodes.count: 3 → ${spec.nodes.count}`);
    expect(rotation?.changes).toEqual([`spec: nodes.count: ${spec.nodes.count} → 3`, 'framework: 3 changes']);
    for (const { who, at, workflowId, runId } of complete.entries) {
      expect(who).toBe(operator);
      expect(Date.parse(at)).not.toBeNaN();
      expect(`${workflowId} ${runId}`).toMatch(/^(deploy|framework):lab [\da-f-]{36}$/);
    }
    const [uncordon, drain] = complete.entries.slice(-2);
    expect(uncordon?.runId).not.toBe(drain?.runId);
    expect(complete.retentionMs).toBeGreaterThan(0);
    expect(complete.read).toMatchObject({ skippedRuns: false, unreadable: 0 });

    expect((await read('2')).entries).toEqual(complete.entries.slice(0, 2));
    const { code, stdout } = await history('1');
    expect(code).toBe(0);
    expect(stdout).toContain(`by ${operator}: terminated`);
    expect(stdout).toMatch(/Temporal keeps workflows for .* after their end/);
  },
);

it('refuses a count that is none, and a server that is not there', async () => {
  expect((await history('0')).code).toBe(2);
  const away = await cli(['history', '--file', file, '--temporal', '127.0.0.1:1']);
  expect(away.code).toBe(3);
  expect(away.stderr).toContain('TEMPORAL_UNREACHABLE');
});
